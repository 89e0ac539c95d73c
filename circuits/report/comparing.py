"""How the circuits of several runs compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from circuits.circuit import Circuit, Overlap
from circuits.comparison import compare_circuits
from circuits.figures import overlap_figure
from circuits.graph import Mlps
from circuits.report.drawing import Drawing
from circuits.report.saved_run import SavedRun
from circuits.summary import tables as summary

_MOST_DRAWN = 10
"""Pairs: those of five runs."""


@dataclass(frozen=True)
class Pair:
    """Two runs beside each other."""

    names: tuple[str, str]
    drawing: Drawing
    heads: summary.Table
    edges: summary.Table | None


@dataclass(frozen=True)
class RunComparison:
    """Several runs beside each other.

    Attributes:
        sizes: A row for each run.
        heads: Intersection over union of the heads of every two of them.
        edges: The same for edges.
        pairs: Every two in detail, the first ten.
        n_left_out: Pairs that have no place there, lack a circuit, or differ in shape.

    """

    sizes: summary.Table
    heads: summary.Table
    edges: summary.Table
    pairs: tuple[Pair, ...]
    n_left_out: int

    @classmethod
    def of(cls, runs: Sequence[SavedRun]) -> RunComparison | None:
        """Compare every two; None for a single run."""
        if len(runs) < 2:
            return None
        every = list(combinations(runs, 2))
        comparable = [pair for pair in every if _are_comparable(*pair)]
        pairs = tuple(_pair(n, *pair) for n, pair in enumerate(comparable[:_MOST_DRAWN]))
        return cls(
            _sizes(runs),
            _matrix(runs, lambda a, b: a.compare(b)),
            _matrix(runs, lambda a, b: Overlap.of(a.connections, b.connections)),
            pairs,
            len(every) - len(pairs),
        )


def _shape(run: SavedRun) -> tuple[int, int, Mlps]:
    return run.found.circuit.n_layers, run.found.circuit.n_heads, run.found.circuit.mlps


def _are_comparable(one: SavedRun, other: SavedRun) -> bool:
    return not (one.found.refusal or other.found.refusal) and _shape(one) == _shape(other)


def _sizes(runs: Sequence[SavedRun]) -> summary.Table:
    return summary.Table(
        ("run", "task", "model", "method", ">heads", ">edges", ">performance", ">forward passes"),
        tuple(
            (
                run.name,
                run.found.provenance.task,
                run.found.provenance.model.name,
                run.found.config.method,
                "no circuit" if run.found.refusal else str(len(run.found.circuit)),
                "–" if run.found.refusal else str(len(run.found.circuit.edges)),
                summary.percent(run.found.performance, 1),
                f"{run.found.cost.forward_passes:,.0f}",
            )
            for run in runs
        ),
        "performance on the prompts of the discovery",
    )


def _matrix(
    runs: Sequence[SavedRun], overlap: Callable[[Circuit, Circuit], Overlap]
) -> summary.Table:
    def cell(one: SavedRun, other: SavedRun) -> str:
        if not _are_comparable(one, other):
            return "–"
        found = overlap(one.found.circuit, other.found.circuit)
        return f"{found.iou:.2f}" if found.iou == found.iou else "–"

    rows = tuple((one.name, *(cell(one, other) for other in runs)) for one in runs)
    return summary.Table(("", *(f">{run.name}" for run in runs)), rows)


def _pair(number: int, one: SavedRun, other: SavedRun) -> Pair:
    names = one.name, other.name
    graph = one.found.provenance.model.graph()
    compared = compare_circuits(one.found.circuit, other.found.circuit, graph)
    drawing = Drawing.of(
        f"overlap-{number}",
        lambda theme: overlap_figure(one.found.circuit, other.found.circuit, names, theme=theme),
        f"Heads of {names[0]} and of {names[1]}, by layer.",
    )
    edges = compared.edges and summary.agreement(compared.edges, compared.edges_by_heads)
    return Pair(names, drawing, summary.agreement(compared.heads), edges)
