"""What circuits of every size keep, and which was chosen."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from circuits.evaluation.sizes import SizeCurve, SizePoint
from circuits.figures.by_size import as_front, as_rings, laid_out, markers
from circuits.figures.style import Theme, palette_of, plain, shown


def sizes_figure(
    sizes: SizeCurve, title: str | None = None, *, theme: Theme = "transparent"
) -> go.Figure:
    """Draw what circuits keep against their size: where the size was chosen, and on other prompts.

    Args:
        sizes: Of a discovery, `Discovery.sizes`.
        title: By default the number of circuits.
        theme: "transparent", "light" or "dark".

    Raises:
        UnknownNameError: The theme is unknown.

    >>> from circuits.statistics import Estimate
    >>> kept = Estimate(91.0, 84.0, 96.0)
    >>> point = SizePoint("attribution", circuit.heads, kept, kept, kept)
    >>> sizes_figure(SizeCurve.of([point], keep=85)).layout.title.text
    'Size against performance of 1 circuit'
    """
    palette, figure = palette_of(theme), go.Figure()
    for number, ranking in enumerate(dict.fromkeys(point.ranking for point in sizes.points)):
        behind = [p for p in sizes.points if p.ranking == ranking and p not in sizes.front]
        symbol = ("circle-open", "square-open", "diamond-open")[number % 3]
        name = f"other circuits, ranked {ranking}"
        figure.add_trace(_judged(behind, name, palette.muted, symbol))
    figure.add_trace(as_front(_judged(sizes.front, "chosen by", palette.series[0])))
    figure.add_trace(_held_out(sizes, palette.series[2]))
    figure.add_trace(as_rings(_judged([sizes.point], "chosen", palette.series[1])))
    n_circuits = len(sizes.points)
    title = (
        title
        or f"Size against {sizes.point.measure} of {n_circuits} circuit{'s' * (n_circuits != 1)}"
    )
    return laid_out(figure, title, palette, sizes.keep, sizes.point.unit, sizes.point.measure)


def _judged(
    points: Sequence[SizePoint], name: str, colour: str, symbol: str = "circle"
) -> go.Scatter:
    values = [point.judged.value for point in points]
    return markers(
        [len(p) for p in points], values, list(map(_describe, points)), name, colour, symbol
    )


def _held_out(sizes: SizeCurve, colour: str) -> go.Scatter:
    """With their intervals."""
    run = {point: point.held_out for point in sizes.points if point.held_out is not None}
    trace = markers(
        list(map(len, run)),
        [one.value for one in run.values()],
        list(map(_describe, run)),
        "held out",
        colour,
        "diamond",
    )
    return trace.update(
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [shown(one.high - one.value) for one in run.values()],
            "arrayminus": [shown(one.value - one.low) for one in run.values()],
            "thickness": 1,
        }
    )


def _describe(point: SizePoint) -> str:
    held_out = "not run" if point.held_out is None else f"{point.held_out:.1f} %"
    return (
        f"<b>{len(point)} {point.unit}</b>, ranked {plain(point.ranking)}"
        f"<br>search {point.search:.1f} %<br>validation {point.validation:.1f} %"
        f"<br>held out {held_out}"
    )
