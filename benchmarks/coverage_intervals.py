"""Whether intervals over prompts, and what is chosen by them, hold what is said, in simulation.

Prompts are drawn from populations whose truth is known: what the model and circuits of rising size
do on a prompt is correlated, normal, heavy-tailed (Student's t with three degrees of freedom) or
alike within templates of four prompts. Measured are the share of 95 % intervals that hold the true
performance, also of the circuit that was chosen on such intervals, on prompts that are new, and of
how much a given circuit keeps more on one set of prompts than on another; how often the circuit
that is chosen by the default's test truly keeps what was asked for, what it keeps in the mean, and
the same of rules with less and with more to spare; and how often a head that does nothing is said
to work against the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from typing import Any

import numpy as np
from jaxtyping import Float

from benchmarks.tables import table
from circuits.evaluation.sizes import SizePoint
from circuits.statistics import Bootstrap, Estimate

KEEP, TRUE = 85.0, np.linspace(40.0, 130.0, 31)
"""Percent that circuits of 31 sizes keep in truth, in steps of three."""
MODEL, SPREAD, OWN = 4.5, 1.5, 1.2
"""Mean and standard deviation of the model's metric (IOI's), and of a circuit's own deviation."""
N_NULL = 8
_TOGETHER = 10
_FIXED = 16
"""A circuit that was not chosen on the prompts, for the difference between two sets of them."""
SPARE = {"none": 0.0, "half": 0.5, "two": 2.0}
"""Standard errors that a choice leaves: none; the least and the most of the default."""
Draw = Callable[[np.random.Generator, int, int], Float[np.ndarray, "row prompt"]]
Runs = Float[np.ndarray, "draw run prompt"]
Row = dict[str, Any]


def _normal(rng: np.random.Generator, rows: int, n: int) -> Float[np.ndarray, "row prompt"]:
    return rng.standard_normal((rows, n))


def _heavy(rng: np.random.Generator, rows: int, n: int) -> Float[np.ndarray, "row prompt"]:
    return rng.standard_t(3, (rows, n)) / np.sqrt(3)


def _alike(rng: np.random.Generator, rows: int, n: int) -> Float[np.ndarray, "row prompt"]:
    """Half of the variance is shared by each four prompts."""
    shared = np.repeat(rng.standard_normal((rows, -(-n // 4))), 4, axis=1)[:, :n]
    return (shared + rng.standard_normal((rows, n))) / np.sqrt(2)


POPULATIONS: dict[str, Draw] = {"normal": _normal, "heavy tails": _heavy, "alike": _alike}


def drawn(draw: Draw, rng: np.random.Generator, n: int, n_draws: int) -> Runs:
    """The model's metric, then that of circuits of rising size, on n prompts, some times.

    A circuit deviates from its share of the model's metric as the next smaller one does, and a
    little on its own.
    """
    noise = draw(rng, n_draws * (len(TRUE) + 1), n).reshape(n_draws, -1, n)
    model = MODEL + SPREAD * noise[:, :1]
    own = OWN * np.cumsum(noise[:, 1:], axis=1) / np.sqrt(np.arange(1, len(TRUE) + 1))[:, None]
    return np.concatenate([model, TRUE[:, None] / 100 * model + own], axis=1)


def kept(runs: Runs, resamples: int) -> list[list[Estimate]]:
    """Percent of the model's metric that circuits keep, of each draw, as a discovery takes it."""
    found, n_runs = [], runs.shape[1]
    for part in np.split(runs, range(_TOGETHER, len(runs), _TOGETHER)):
        stacked = part.reshape(-1, part.shape[-1])
        of_part = Bootstrap(n_resamples=resamples).estimates(_percent(n_runs), stacked)
        found += [of_part[at : at + n_runs - 1] for at in range(0, len(of_part), n_runs - 1)]
    return found


def lost(new: Runs, old: Runs, resamples: int) -> list[Estimate]:
    """Points that one circuit keeps more on new prompts than on old ones, of each draw."""
    percent = _percent(2)

    def figures(*means: Float[np.ndarray, "run *r"]) -> Float[np.ndarray, "figure *r"]:
        return percent(means[0]) - percent(means[1])

    stacked = (runs.reshape(-1, runs.shape[-1]) for runs in (new, old))
    return Bootstrap(n_resamples=resamples).estimates(figures, *stacked)


def _percent(n_runs: int) -> Callable[..., Float[np.ndarray, "figure *r"]]:
    """From the means of the runs of many draws, of each of which the first is the model."""

    def figures(means: Float[np.ndarray, "run *r"]) -> Float[np.ndarray, "figure *r"]:
        by_draw = means.reshape(-1, n_runs, *means.shape[1:])
        percent = 100 * by_draw[:, 1:] / by_draw[:, :1]
        return percent.reshape(-1, *means.shape[1:])

    return figures


def measure(population: str, n: int, n_draws: int, resamples: int) -> Row:
    """Coverage of intervals over n prompts, and of choices by as many."""
    draw, rng = POPULATIONS[population], np.random.default_rng(n)
    runs = drawn(draw, rng, n, n_draws)
    found = kept(runs, resamples)
    chosen = {
        name: np.array([_chosen(one, spare) for one in found]) for name, spare in SPARE.items()
    }
    new = drawn(draw, rng, n, n_draws)
    of_chosen = new[np.arange(n_draws)[:, None], [[0, 1 + at] for at in chosen["half"]]]
    held_out = [one for (one,) in kept(of_chosen, resamples)]
    gap = lost(new[:, [0, _FIXED]], runs[:, [0, _FIXED]], resamples)
    idle = MODEL + SPREAD * draw(rng, n_draws, n)[:, None]
    nothing = draw(rng, n_draws * N_NULL, n).reshape(n_draws, N_NULL, n)
    null = kept(np.concatenate([idle, nothing], axis=1), resamples)
    return {
        "population": population,
        "prompts": n,
        "covered": fmean(
            _holds(each, true) for one in found for each, true in zip(one, TRUE, strict=True)
        ),
        "chosen covered": fmean(map(_holds, held_out, TRUE[chosen["half"]])),
        "gap covered": fmean(_holds(each, 0.0) for each in gap),
        "chosen": {
            name: {"keeps enough": fmean(TRUE[at] >= KEEP), "keeps": fmean(TRUE[at])}
            for name, at in chosen.items()
        },
        "false opposing": fmean(each.low > 0 for one in null for each in one),
    }


def _holds(found: Estimate, true: float) -> bool:
    return found.low <= true <= found.high


def _chosen(found: list[Estimate], spare: float) -> int:
    """The smallest circuit that keeps enough by the default's test; the largest where none does."""
    points = [SizePoint("", frozenset(), each, each, each, spare=spare) for each in found]
    enough = [point.keeps(KEEP) for point in points]
    return enough.index(True) if True in enough else len(enough) - 1


def markdown(rows: list[Row]) -> str:
    """One row for each population and number of prompts."""
    titles = (
        "prompts drawn",
        "n",
        "95 % intervals that hold the truth",
        "the same of a chosen circuit, on new prompts",
        "of the gap between two sets",
        *(f"chosen with {spare} to spare: keeps 85 %, in the mean" for spare in SPARE),
        "idle heads said to oppose (2.5 %)",
    )
    lines = [
        [
            row["population"],
            row["prompts"],
            f"{row['covered']:.1%}",
            f"{row['chosen covered']:.1%}",
            f"{row['gap covered']:.1%}",
            *(f"{of['keeps enough']:.0%}, {of['keeps']:.1f} %" for of in row["chosen"].values()),
            f"{row['false opposing']:.1%}",
        ]
        for row in rows
    ]
    return table(titles, lines)
