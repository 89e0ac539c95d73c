"""Whether what repeated circuits are said to share holds, in simulation.

Said is: of everything that is not called noise at most 5 % is; and the interval of a share holds
the probability with which a circuit has the part in 95 %. A circuit has each of some parts with a
probability of its own, and is filled up to its size with others at random: one by one, or four at a
time, as heads share a key and value.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.tables import table
from circuits.statistics import Inclusions

N_SEEDS = (5, 10, 20)
N_POSSIBLE = 1200
SIZES = (30, 60)
"""The smallest and the largest circuit; the parts below are in each of them besides."""
Row = dict[str, Any]


@dataclass(frozen=True)
class World:
    """How circuits are drawn.

    Attributes:
        shared: How likely each part is that circuits share.
        together: How many other parts come together.

    """

    shared: tuple[float, ...] = ()
    together: int = 1


_SHARED = (0.98,) * 10 + (0.5,) * 10 + (0.2,) * 10
WORLDS = {
    "nothing is shared": World(),
    "nothing is shared, four at a time": World(together=4),
    "thirty parts are shared": World(_SHARED),
    "thirty parts are shared, others four at a time": World(_SHARED, together=4),
}


def measure(name: str, n_seeds: int, n_runs: int) -> Row:
    """How much of what is not called noise is, and how often intervals hold the truth."""
    world, rng = WORLDS[name], np.random.default_rng(n_seeds)
    found = [_said(world, n_seeds, rng) for _ in range(n_runs)]
    return {
        "world": name,
        "seeds": n_seeds,
        "false": fmean(run["false"] for run in found),
        "found": [fmean(shares) for shares in zip(*(run["found"] for run in found), strict=True)],
        "covered": _mean([held for run in found for held in run["covered"]]),
    }


def _mean(values: list[bool]) -> float | None:
    return fmean(values) if values else None


def _circuit(world: World, rng: np.random.Generator) -> frozenset[int]:
    """The parts of one circuit; those that circuits share are the first."""
    shared = np.flatnonzero(rng.random(len(world.shared)) < world.shared)
    others = np.arange(len(world.shared), N_POSSIBLE)
    groups = others[: len(others) // world.together * world.together].reshape(-1, world.together)
    n = int(rng.integers(*SIZES)) // world.together
    filled = groups[rng.choice(len(groups), n, replace=False)]
    return frozenset([*shared.tolist(), *filled.ravel().tolist()])


def _said(world: World, n_seeds: int, rng: np.random.Generator) -> Row:
    said = Inclusions.of([_circuit(world, rng) for _ in range(n_seeds)], N_POSSIBLE)
    real = range(len(world.shared))
    kept = said.of_kind("core") | said.of_kind("contingent")
    shares = {row.item: row.share for row in said.rows}
    covered = [
        shares[part].low <= likely <= shares[part].high
        for part, likely in enumerate(world.shared)
        if part in shares
    ]
    return {
        "false": len(kept.difference(real)) / max(len(kept), 1),
        "found": [
            np.mean([part in kept for part in real if world.shared[part] == likely])
            for likely in sorted(set(world.shared), reverse=True)
        ],
        "covered": covered,
    }


def markdown(rows: list[Row]) -> str:
    """A table."""
    titles = (
        "parts of circuits",
        "seeds",
        "noise among what is not called so (5 %)",
        "shared parts that are not called noise, by how likely circuits have them",
        "intervals of what a circuit has that hold the truth (95 %)",
    )
    likely = [f"{share:.2f}" for share in sorted(set(_SHARED), reverse=True)]
    return table(titles, [_line(row, likely) for row in rows])


def _line(row: Row, likely: list[str]) -> list[object]:
    found = [f"{share}: {part:.0%}" for share, part in zip(likely, row["found"], strict=False)]
    covered = f"{row['covered']:.1%}" if row["found"] else ""
    return [row["world"], row["seeds"], f"{row['false']:.1%}", ", ".join(found), covered]
