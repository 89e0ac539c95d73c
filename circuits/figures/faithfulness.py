"""Faithfulness against the size of the circuit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from circuits.evaluation import Curve, CurvePoint, EdgeCurve, EdgeCurvePoint, EdgeCurves
from circuits.figures.style import Palette, Theme, message, mix, palette_of, plain, shown, styled


def faithfulness_figure(
    curves: Curve | Mapping[str, Curve],
    title: str = "Faithfulness against circuit size",
    *,
    theme: Theme = "transparent",
) -> go.Figure:
    """Draw faithfulness against the share of heads kept, intervals as bands, areas in the legend.

    Args:
        curves: One curve, or several by name, for example `Evaluation.curves`.
        title: Title of the figure.
        theme: "transparent", "light" or "dark".

    Raises:
        UnknownNameError: The theme is unknown.

    >>> faithfulness_figure(evaluation.curves).data[1].name
    'signed ranking by path-effects, resample ablation: CPR ..., CMD ...'
    """
    palette = palette_of(theme)
    named = {curves.ranking: curves} if isinstance(curves, Curve) else dict(curves)
    if not named:
        return message("No curve was taken.", title, palette)
    figure = go.Figure()
    for number, (name, curve) in enumerate(named.items()):
        areas = f"CPR {curve.cpr.value:.3f}, CMD {curve.cmd.value:.3f}"
        label = f"{curve.ranking} ranking by {curve.score}, {curve.ablation} ablation: {areas}"
        colour = palette.series[number % len(palette.series)]
        _add_curve(figure, plain(name), plain(label), curve.points, colour)
    return _finished(figure, title, palette, "heads")


def edge_curves_figure(
    curves: EdgeCurves | Mapping[str, EdgeCurves],
    title: str = "Faithfulness against circuit size",
    *,
    theme: Theme = "transparent",
) -> go.Figure:
    """Draw faithfulness against the share of edges kept, by signed and by absolute scores.

    Intervals are bands, areas are in the legend, and a star is the smallest circuit that keeps
    enough.

    Args:
        curves: Those of one score, or of several by name.
        title: Title of the figure.
        theme: "transparent", "light" or "dark".

    Raises:
        UnknownNameError: The theme is unknown.

    >>> from circuits.evaluation import EdgeEvaluator, edge_curves
    >>> curves = edge_curves(EdgeEvaluator(model, pairs), scored, "invented")
    >>> edge_curves_figure(curves).data[1].name
    'invented, signed scores: CPR ...'
    """
    palette = palette_of(theme)
    named = {curves.score: curves} if isinstance(curves, EdgeCurves) else dict(curves)
    if not named:
        return message("No curve was taken.", title, palette)
    lines = [
        (f"{name}, {curve.ranking} scores: {area}", curve)
        for name, of in named.items()
        for curve, area in (
            (of.signed, f"CPR {of.cpr.value:.3f}"),
            (of.absolute, f"CMD {of.cmd.value:.3f}"),
        )
    ]
    figure = go.Figure()
    for number, (label, curve) in enumerate(lines):
        colour = palette.series[number % len(palette.series)]
        _add_curve(figure, str(number), plain(label), curve.points, colour)
        _add_smallest(figure, str(number), curve, colour)
    return _finished(figure, title, palette, "edges")


def _finished(figure: go.Figure, title: str, palette: Palette, kept: str) -> go.Figure:
    figure.add_hline(y=1, line={"color": palette.muted, "width": 1, "dash": "dash"})
    styled(figure, title, palette, height=420)
    figure.update_xaxes(title_text=f"share of {kept} kept", type="log", tickformat="~%")
    figure.update_yaxes(title_text="faithfulness (1: the full model)")
    return figure


def _add_smallest(figure: go.Figure, group: str, curve: EdgeCurve, colour: str) -> None:
    if curve.smallest is None:
        return
    figure.add_scatter(
        x=[curve.smallest.share],
        y=[shown(curve.smallest.faithfulness.value)],
        mode="markers",
        marker={"size": 13, "symbol": "star", "color": colour},
        name=f"smallest that keeps enough, {curve.ranking} scores",
        legendgroup=group,
        showlegend=False,
        hovertext=[f"smallest that keeps enough: {_describe(curve.smallest)}"],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _add_curve(
    figure: go.Figure,
    name: str,
    label: str,
    every: Sequence[CurvePoint] | Sequence[EdgeCurvePoint],
    colour: str,
) -> None:
    # A logarithmic axis has no place for a share of 0.
    points = [point for point in every if point.share > 0]
    figure.add_scatter(
        x=[point.share for point in points] + [point.share for point in reversed(points)],
        y=[shown(point.faithfulness.high) for point in points]
        + [shown(point.faithfulness.low) for point in reversed(points)],
        fill="toself",
        fillcolor=mix(colour, 0.18),
        line={"width": 0},
        name=f"{name} interval",
        legendgroup=name,
        showlegend=False,
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[point.share for point in points],
        y=[shown(point.faithfulness.value) for point in points],
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 5},
        name=label,
        legendgroup=name,
        hovertext=[_describe(point) for point in points],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _describe(point: CurvePoint | EdgeCurvePoint) -> str:
    if isinstance(point, CurvePoint):
        size = f"{point.n_heads} head{'s' * (point.n_heads != 1)}"
    else:
        size = f"{point.n_edges:,} of {point.n_ranked:,} edges, {point.n_nodes:,} nodes"
    return f"{size}<br>faithfulness {point.faithfulness:.3f}"
