"""Size against performance for the many circuits of a search."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import plotly.graph_objects as go

from circuits.figures.by_size import as_front, as_rings, laid_out, markers
from circuits.figures.style import Theme, message, palette_of
from circuits.studies.record import SearchPoint, SearchRecord


@runtime_checkable
class Search(Protocol):
    """A `Grid` or a `Study`; a protocol, because Optuna takes long to import."""

    def to_dict(self) -> dict[str, Any]:
        """Every circuit as plain data."""
        ...


def pareto_figure(
    search: Search | SearchRecord, title: str | None = None, *, theme: Theme = "transparent"
) -> go.Figure:
    """Draw performance against size for every circuit of a search, with their Pareto front.

    Args:
        search: A `Grid`, a `Study`, or what a saved run keeps of one (`SearchRecord.load`).
        title: By default the number of circuits.
        theme: "transparent", "light" or "dark".

    Raises:
        UnknownNameError: The theme is unknown.

    >>> from circuits.studies import GridPoint
    >>> point = GridPoint(rule, found.circuit, found.performance)
    >>> grid = Grid((point,), keep=75.0, found=found, cost=found.cost)  # as discover_grid gives it
    >>> pareto_figure(grid).layout.title.subtitle.text
    'dashed: the 75 % that were asked for'
    """
    palette = palette_of(theme)
    record = search if isinstance(search, SearchRecord) else SearchRecord.of(search.to_dict())
    if not record.points:
        return message("The search has no circuits.", title or "Size against performance", palette)
    figure = go.Figure()
    front = sorted((p for p in record.points if p.pareto), key=record.size)
    others = [point for point in record.points if not point.pareto]
    if others:
        figure.add_trace(_markers(record, others, "other circuits", palette.muted, "circle-open"))
    figure.add_trace(as_front(_markers(record, front, "Pareto front", palette.series[0])))
    chosen = [point for point in record.points if point.chosen]
    figure.add_trace(as_rings(_markers(record, chosen, "chosen", palette.series[1])))
    title = title or f"Size against performance of {_count(record)}"
    unit = "heads" if record.mlps == "path" else "edges"
    return laid_out(figure, title, palette, record.keep, unit, "performance")


def _count(record: SearchRecord) -> str:
    n_circuits = len({(point.heads, record.size(point)) for point in record.points})
    tried = record.n_trials or len(record.points)
    return f"{n_circuits} circuit{'s' * (n_circuits != 1)} of {tried} setting{'s' * (tried != 1)}"


def _markers(
    record: SearchRecord,
    points: list[SearchPoint],
    name: str,
    colour: str,
    symbol: str = "circle",
) -> go.Scatter:
    sizes, values = list(map(record.size, points)), [p.performance for p in points]
    return markers(sizes, values, list(map(_describe, points)), name, colour, symbol)


def _describe(point: SearchPoint) -> str:
    rule = point.rule
    return (
        f"<b>{len(point.heads)} heads, {point.n_edges} edges</b>"
        f"<br>performance {point.performance:.1f} %"
        f"<br>threshold {rule.threshold:.3g}, for the logits {rule.logits_threshold:.3g}"
        f"<br>smallest effect {rule.min_effect:.2g}"
    )
