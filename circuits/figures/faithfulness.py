"""Faithfulness against the size of the circuit."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

import plotly.graph_objects as go

from circuits.evaluation import Curve, CurvePoint
from circuits.figures.style import NEUTRAL, SERIES, message, mix, styled


def faithfulness_figure(
    curves: Curve | Mapping[str, Curve], title: str = "Faithfulness against circuit size"
) -> go.Figure:
    """Draw faithfulness against the share of heads kept, intervals as bands, areas in the legend.

    Args:
        curves: One curve, or several by name, for example `Evaluation.curves`.
        title: Title of the figure.

    """
    named = {curves.ranking: curves} if isinstance(curves, Curve) else dict(curves)
    if not named:
        return message("No curve was taken.", title)
    figure = go.Figure()
    for number, (name, curve) in enumerate(named.items()):
        _add_curve(figure, name, curve, SERIES[number % len(SERIES)])
    figure.add_hline(y=1, line={"color": NEUTRAL, "width": 1, "dash": "dash"})
    figure = styled(figure, title, height=420)
    figure.update_xaxes(title_text="share of heads kept", type="log", tickformat="~%")
    figure.update_yaxes(title_text="faithfulness (1: the full model)")
    return figure.update_layout(legend={"x": 0.01, "y": 0.99, "yanchor": "top"})


def _add_curve(figure: go.Figure, name: str, curve: Curve, colour: str) -> None:
    # A logarithmic axis has no place for a share of 0.
    points = [point for point in curve.points if point.share > 0]
    figure.add_scatter(
        x=[point.share for point in points] + [point.share for point in reversed(points)],
        y=[_shown(point.faithfulness.high) for point in points]
        + [_shown(point.faithfulness.low) for point in reversed(points)],
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
        y=[_shown(point.faithfulness.value) for point in points],
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 5},
        name=f"{curve.ranking} ranking by {curve.score}, {curve.ablation} ablation: {areas}",
        legendgroup=name,
        hovertext=[_describe(point) for point in points],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _shown(value: float) -> float | None:
    """Four decimals; nothing where there is no number to show."""
    return round(value, 4) if isfinite(value) else None


def _describe(point: CurvePoint) -> str:
    plural = "s" * (point.n_heads != 1)
    return f"{point.n_heads} head{plural}<br>faithfulness {point.faithfulness:.3f}"
