"""Faithfulness against the size of the circuit."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from circuits.evaluation import Curve, CurvePoint
from circuits.figures.style import Theme, message, mix, palette_of, plain, shown, styled


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
        _add_curve(figure, plain(name), curve, palette.series[number % len(palette.series)])
    figure.add_hline(y=1, line={"color": palette.muted, "width": 1, "dash": "dash"})
    styled(figure, title, palette, height=420)
    figure.update_xaxes(title_text="share of heads kept", type="log", tickformat="~%")
    figure.update_yaxes(title_text="faithfulness (1: the full model)")
    return figure


def _add_curve(figure: go.Figure, name: str, curve: Curve, colour: str) -> None:
    # A logarithmic axis has no place for a share of 0.
    points = [point for point in curve.points if point.share > 0]
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
    areas = f"CPR {curve.cpr.value:.3f}, CMD {curve.cmd.value:.3f}"
    figure.add_scatter(
        x=[point.share for point in points],
        y=[shown(point.faithfulness.value) for point in points],
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 5},
        name=plain(f"{curve.ranking} ranking by {curve.score}, {curve.ablation} ablation: {areas}"),
        legendgroup=name,
        hovertext=[_describe(point) for point in points],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _describe(point: CurvePoint) -> str:
    plural = "s" * (point.n_heads != 1)
    return f"{point.n_heads} head{plural}<br>faithfulness {point.faithfulness:.3f}"
