"""What circuits of every size keep, and which was chosen."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from circuits.evaluation.sizes import SizeCurve, SizePoint
from circuits.figures.style import Palette, Theme, palette_of, plain, shown, styled
from circuits.statistics import Estimate


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

    >>> kept = Estimate(91.0, 84.0, 96.0)
    >>> point = SizePoint("attribution", circuit.heads, kept, kept, kept)
    >>> sizes_figure(SizeCurve.of([point], keep=85)).layout.title.text
    'Size against performance of 1 circuit'
    """
    palette = palette_of(theme)
    figure = go.Figure()
    figure.add_hline(y=sizes.keep, line={"color": palette.muted, "width": 1, "dash": "dash"})
    for number, ranking in enumerate(dict.fromkeys(point.ranking for point in sizes.points)):
        behind = [p for p in sizes.points if p.ranking == ranking and p not in sizes.front]
        symbol = ("circle-open", "square-open", "diamond-open")[number % 3]
        name = f"other circuits, ranked {ranking}"
        values = [point.judged for point in behind]
        figure.add_trace(_markers(behind, values, name, palette.muted, symbol))
    kept = [point.judged for point in sizes.front]
    front = _markers(sizes.front, kept, "chosen by", palette.series[0], "circle")
    figure.add_trace(front.update(mode="lines+markers", line={"shape": "hv", "width": 2}))
    _add_held_out(figure, sizes, palette)
    chosen = _markers([sizes.point], [sizes.point.judged], "chosen", palette.series[1], "")
    ring = {"size": 18, "symbol": "circle-open", "line": {"width": 2.5}}
    figure.add_trace(chosen.update(marker=ring))
    n_circuits = len(sizes.points)
    title = title or f"Size against performance of {n_circuits} circuit{'s' * (n_circuits != 1)}"
    subtitle = f"dashed: the {sizes.keep:g} % that were asked for"
    styled(figure, title, palette, height=420, subtitle=subtitle)
    figure.update_xaxes(title_text="heads in the circuit", rangemode="tozero")
    figure.update_yaxes(title_text="performance, % of the full model", rangemode="tozero")
    return figure


def _add_held_out(figure: go.Figure, sizes: SizeCurve, palette: Palette) -> None:
    points = [point for point in sizes.points if point.held_out is not None]
    kept = [point.held_out for point in points if point.held_out is not None]
    trace = _markers(points, kept, "held out", palette.series[2 % len(palette.series)], "diamond")
    trace.update(
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [shown(one.high - one.value) for one in kept],
            "arrayminus": [shown(one.value - one.low) for one in kept],
            "thickness": 1,
        }
    )
    figure.add_trace(trace)


def _markers(
    points: Sequence[SizePoint], kept: Sequence[Estimate], name: str, colour: str, symbol: str
) -> go.Scatter:
    return go.Scatter(
        x=[len(point) for point in points],
        y=[shown(one.value) for one in kept],
        mode="markers",
        marker={"size": 9, "color": colour, "symbol": symbol or "circle"},
        name=plain(name),
        hovertext=[_describe(point) for point in points],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=True,
    )


def _describe(point: SizePoint) -> str:
    held_out = "not run" if point.held_out is None else f"{point.held_out:.1f} %"
    return (
        f"<b>{len(point)} heads</b>, ranked {plain(point.ranking)}"
        f"<br>search {point.search:.1f} %<br>validation {point.validation:.1f} %"
        f"<br>held out {held_out}"
    )
