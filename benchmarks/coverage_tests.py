"""Whether p-values and rates hold what is said of them, in simulation.

Said is: where a model does not do a task, both tests of its behaviour pass in at most 1 % of cases;
of the senders that the rule "significance" keeps for a receiver at most 5 % have less than the
smallest effect that counts, here also in a circuit that is grown by it, where one receiver is
reached because of what was kept for another; at most 5 % of random circuits agree with a reference
at p = 0.05, where heads share keys and values; and of seeds that are like the others the reported
one is warned of in 5 % of studies, and any other in 5 %.
"""

from __future__ import annotations

import random
from statistics import fmean
from typing import Any

import numpy as np
import torch

from benchmarks.coverage_intervals import POPULATIONS, Draw
from benchmarks.tables import table
from circuits.behaviour import LEVEL
from circuits.circuit import Circuit
from circuits.comparison import compare_circuits
from circuits.components import Edge, Head
from circuits.graph import ModelGraph
from circuits.statistics import Distribution, sign_flip_p_values, size_p_values
from circuits.statistics.distribution import outliers
from circuits.statistics.significance import discoveries

N_SENDERS = {8: 6, 12: 12}
"""By the number of prompts: as many as its p-values are small enough for."""
LEAST, LARGE, NOISE, RATE = 0.1, 0.5, 0.15, 0.05
N_SEEDS = 10
GRAPH = ModelGraph(n_layers=4, n_heads=8, n_kv_heads=2)
N_EDGES = 40
Row = dict[str, Any]


def prompts(population: str, n: int, n_runs: int) -> Row:
    """How often nothing is taken for a behaviour, and how much of what is kept is false."""
    draw, rng = POPULATIONS[population], np.random.default_rng(n)
    metric = torch.from_numpy(draw(rng, 10 * n_runs, n))
    found = [_kept(draw, rng, n) for _ in range(n_runs)]
    return {
        "population": population,
        "prompts": n,
        "behaviour": float((sign_flip_p_values(metric, "greater") <= LEVEL).double().mean()),
        "by receiver": fmean(share for run in found for share in run["by receiver"]),
        "in circuit": fmean(run["in circuit"] for run in found),
        "found": fmean(run["found"] for run in found),
    }


def _kept(draw: Draw, rng: np.random.Generator, n: int) -> Row:
    """Senders of the logits, and then those of the heads that are kept for them.

    Half of all effects are as large as they may be without to count, the others are large. Half of
    the variance of a path is that of the one that its receiver was reached by.
    """
    m = N_SENDERS[n]
    is_real = rng.random((1 + m, m)) < 0.5
    effects = np.where(is_real, LARGE, LEAST) * rng.choice([-1, 1], is_real.shape)
    noise = draw(rng, (1 + m) * m, n).reshape(1 + m, m, n)
    noise[1:] = (noise[1:] + noise[0][:, None]) / np.sqrt(2)
    differences = 1 + 0.3 * draw(rng, 1, n)[0]
    changes = torch.from_numpy(effects[..., None] * differences + NOISE * noise)
    p_values = size_p_values(changes, LEAST * torch.from_numpy(differences))
    kept = torch.stack([discoveries(row, RATE) for row in p_values]).numpy()
    reached = np.concatenate([[0], 1 + np.flatnonzero(kept[0])])
    false, n_kept = (kept & ~is_real)[reached].sum(1), kept[reached].sum(1)
    return {
        "by receiver": (false / np.maximum(n_kept, 1)).tolist(),
        "in circuit": false.sum() / max(n_kept.sum(), 1),
        "found": (kept & is_real)[0].sum() / max(is_real[0].sum(), 1),
    }


def seeds(population: str, n_runs: int) -> Row:
    """How often a study of equal seeds warns of the reported one, and of another."""
    values = 80 + 5 * POPULATIONS[population](np.random.default_rng(0), n_runs, N_SEEDS)
    found = [
        {one.seed for one in outliers({"": Distribution(dict(enumerate(row)))}, reported=0)}
        for row in values.tolist()
    ]
    return {
        "population": population,
        "reported": fmean(0 in warned for warned in found),
        "others": fmean(bool(warned - {0}) for warned in found),
    }


def circuits(n_pairs: int) -> Row:
    """How often random circuits are said to agree: all edges, and those between the same heads."""
    draw, edges = random.Random(0), list(GRAPH.edges)
    heads = set(draw.sample(GRAPH.heads, 12))
    inside = [
        path
        for path in edges
        if path.sender in heads
        and (path.receiver.is_logits or not heads.isdisjoint(GRAPH.readers(path.receiver)))
    ]
    everywhere, between = [], []
    for _ in range(n_pairs):
        theirs = _circuit(draw.sample(edges, N_EDGES), set(GRAPH.heads))
        mine = _circuit(draw.sample(edges, N_EDGES), set(GRAPH.heads))
        compared = compare_circuits(mine, theirs, GRAPH).edges
        everywhere.append(compared is not None and compared.p_value <= 0.05)
        compared = compare_circuits(_circuit(draw.sample(inside, N_EDGES), heads), theirs, GRAPH)
        n_shared = 0 if compared.edges is None else len(compared.edges.overlap.true_positives)
        by_heads = compared.edges_by_heads
        between.append(by_heads is not None and by_heads.p_value(n_shared) <= 0.05)
    return {"everywhere": fmean(everywhere), "same heads": fmean(between)}


def _circuit(paths: list[Any], heads: set[Head]) -> Circuit:
    """With a copy of each path for all of the heads that read it."""
    edges = frozenset(
        Edge(path.sender, receiver, -0.1)
        for path in paths
        for receiver in GRAPH.members(path.receiver)
        if receiver.head is None or receiver.head in heads
    )
    return Circuit(frozenset(heads), edges, GRAPH.n_layers, GRAPH.n_heads)


def markdown(of_prompts: list[Row], of_seeds: list[Row], of_circuits: Row) -> str:
    """Two tables and a sentence."""
    titles = (
        "prompts drawn",
        "n",
        "no behaviour, said to be one (1 %)",
        "false among what is kept for a receiver (5 %)",
        "false in a circuit that is grown",
        "large effects that are kept",
    )
    shares = ("behaviour", "by receiver", "in circuit", "found")
    lines = [
        [row["population"], row["prompts"], *(f"{row[share]:.1%}" for share in shares)]
        for row in of_prompts
    ]
    seed_titles = ("seeds drawn", "the reported one is warned of (5 %)", "another is (5 %)")
    seed_lines = [
        [row["population"], f"{row['reported']:.1%}", f"{row['others']:.1%}"] for row in of_seeds
    ]
    return (
        f"{table(titles, lines)}\n\n{table(seed_titles, seed_lines)}\n\n"
        f"Random circuits that agree at p ≤ 0.05, four heads to a key and value: "
        f"{of_circuits['everywhere']:.1%}; by paths between the same heads: "
        f"{of_circuits['same heads']:.1%}."
    )
