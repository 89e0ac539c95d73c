"""Whether the bound on what verification left out holds, in simulation.

Numbers stand for a model: estimates of all paths, what these say to leave out, and the truth. The
search and its verification are the product's own. Effects beyond the bound may be at most as many
as it says, in 95 % of all runs.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from benchmarks.tables import table
from circuits.components import Node, Receiver
from circuits.graph import ModelGraph
from circuits.patching import EdgeEstimates, EdgeValues
from circuits.search import Verifier
from circuits.search.at_rest import verified_growth
from circuits.search.connect import AboveLeast

GRAPH = ModelGraph(n_layers=2, n_heads=16, n_kv_heads=4)
RULE = AboveLeast(0.05, GRAPH)
N_SAMPLED = 24
Numbers = Float[np.ndarray, "receiver sender"]
World = tuple[Numbers, Numbers, Numbers]
"""Estimates, what they say to leave out, and true effects."""
SHAPE = len(GRAPH.receivers), len(GRAPH.senders)


def _as_said(rng: np.random.Generator) -> World:
    estimate, remainder = 0.03 * rng.standard_normal(SHAPE), 0.03 * rng.random(SHAPE) ** 2
    return estimate, remainder, estimate + remainder * rng.uniform(-1, 1, SHAPE)


def _heavy(rng: np.random.Generator) -> World:
    """Errors are Student's t with one and a half degrees of freedom, in what is left out."""
    estimate, remainder, _ = _as_said(rng)
    return estimate, remainder, estimate + remainder * rng.standard_t(1.5, SHAPE)


def _alike(rng: np.random.Generator) -> World:
    """A third of the receivers are wrong by ten times as much, all of their paths alike."""
    estimate, remainder, _ = _as_said(rng)
    size = np.where(rng.random((SHAPE[0], 1)) < 1 / 3, 10, 0.3)
    return estimate, remainder, estimate + remainder * size * rng.choice([-1, 1], (SHAPE[0], 1))


def _dead(rng: np.random.Generator) -> World:
    """Half of the gradients vanish: estimate and remainder are 0, the effects are not."""
    estimate, remainder, true = _as_said(rng)
    dead = rng.random(SHAPE) < 0.5
    estimate[dead] = remainder[dead] = 0.0
    return estimate, remainder, np.where(dead, 0.05 * rng.standard_t(3, SHAPE), true)


def _hidden(rng: np.random.Generator, share: float = 0.13) -> World:
    """Few vanish, about as many as a sample may miss, and their effects are large."""
    estimate, remainder, true = _as_said(rng)
    dead = rng.random(SHAPE) < share
    estimate[dead] = remainder[dead] = 0.0
    return estimate, remainder, np.where(dead, 0.5, true)


def _opened_again(rng: np.random.Generator) -> World:
    """The sample shows larger errors than were granted: all that does not vanish is run then."""
    estimate, remainder, true = _hidden(rng, share=0.06)
    live = remainder > 0
    estimate[live], remainder[live] = 0.01 * rng.uniform(-1, 1, live.sum()), 0.02
    wrong = estimate + 6 * remainder * rng.uniform(-1, 1, SHAPE)
    return estimate, remainder, np.where(live, wrong, true)


WORLDS: dict[str, Callable[[np.random.Generator], World]] = {
    "errors as they are said to be": _as_said,
    "heavy-tailed errors": _heavy,
    "errors alike within receivers": _alike,
    "half of the gradients vanish": _dead,
    "few vanish, effects are large": _hidden,
    "receivers are opened again": _opened_again,
}


def measure(world: str, n_runs: int) -> dict[str, Any]:
    """How often the bound is broken, what it claims, and what is true."""
    found = [_run(WORLDS[world](np.random.default_rng(seed)), seed) for seed in range(n_runs)]
    claimed, within, verified = zip(*found, strict=True)
    return {
        "errors": world,
        "broken": fmean(true < said - 1e-9 for said, true in zip(claimed, within, strict=True)),
        "claimed": fmean(claimed),
        "within": fmean(within),
        "verified": fmean(verified),
    }


def _run(world: World, seed: int) -> tuple[float, float, float]:
    """The share that is claimed to lie within the bound, the one that does, and what was run."""
    estimate, remainder, true = world
    logits = GRAPH.row(Receiver.logits())
    estimate[logits], remainder[logits], true[logits] = 0.1, 0.0, 0.1
    exact = _values(true)

    def measured(receiver: Receiver, senders: tuple[Node, ...]) -> list[float]:
        return [exact.of(sender, receiver) for sender in senders]

    estimates = EdgeEstimates(_values(estimate), _values(remainder))
    verifier = Verifier(estimates, measured, N_SAMPLED, seed)
    ((circuit, seen),) = verified_growth(verifier, [RULE])
    left_out = exact.values[verifier.left_out(RULE, circuit)].abs()
    within = float((left_out <= seen.missed_effect).float().mean()) if len(left_out) else 1.0
    return seen.coverage, within, seen.verified / seen.estimated


def _values(numbers: Numbers) -> EdgeValues:
    known = torch.full(SHAPE, torch.nan)
    for row, receiver in enumerate(GRAPH.receivers):
        known[row, GRAPH.below(receiver)] = 0.0
    return EdgeValues(GRAPH, known + torch.from_numpy(numbers).float())


def markdown(rows: list[dict[str, Any]]) -> str:
    """One row for each kind of error."""
    titles = (
        "errors of estimates",
        "bound broken (5 %)",
        "paths said to be within it, at least",
        "within it",
        "paths run exactly",
    )
    shares = ("broken", "claimed", "within", "verified")
    return table(
        titles, [[row["errors"], *(f"{row[name]:.1%}" for name in shares)] for row in rows]
    )
