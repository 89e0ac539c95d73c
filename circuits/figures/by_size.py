"""What figures of size against performance share: points, a front, rings, axes."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from circuits.figures.style import Palette, plain, shown, styled


def markers(
    sizes: Sequence[int],
    performances: Sequence[float],
    described: Sequence[str],
    name: str,
    colour: str,
    symbol: str = "circle",
) -> go.Scatter:
    """Circuits as points, and what the mouse shows of each."""
    return go.Scatter(
        x=list(sizes),
        y=[shown(performance) for performance in performances],
        mode="markers",
        marker={"size": 9, "color": colour, "symbol": symbol},
        name=plain(name),
        hovertext=list(described),
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=True,
    )


def as_front(points: go.Scatter) -> go.Scatter:
    """Joined: a circuit of a size in between keeps what the next smaller one keeps."""
    return points.update(mode="lines+markers", line={"shape": "hv", "width": 2})


def as_rings(points: go.Scatter) -> go.Scatter:
    """Open circles about points that are drawn already."""
    return points.update(marker={"size": 18, "symbol": "circle-open", "line": {"width": 2.5}})


def laid_out(
    figure: go.Figure,
    title: str,
    palette: Palette,
    keep: float | int,
    unit: str,
    measure: str,
) -> go.Figure:
    """Axes, title, and a line at what was asked for; `measure` is what is kept in percent."""
    figure.add_hline(y=keep, line={"color": palette.muted, "width": 1, "dash": "dash"})
    subtitle = f"dashed: the {keep:g} % that were asked for"
    styled(figure, title, palette, height=420, subtitle=subtitle)
    figure.update_xaxes(title_text=f"{unit} in the circuit", rangemode="tozero")
    figure.update_yaxes(title_text=f"{measure}, % of the full model", rangemode="tozero")
    return figure
