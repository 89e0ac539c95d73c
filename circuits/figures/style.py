"""Colours and page settings that every figure shares, readable on light and on dark pages."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

# Red and blue of equal weight that stay apart under every common colour blindness.
HELPS, HURTS = "#3d8bd4", "#de5a3f"
NEUTRAL, NODE, RIM = "#7d8590", "#57606a", "#aab1ba"
FAINT = "rgba(125,133,144,0.22)"
SERIES = ("#3d8bd4", "#d98a1f", "#2a9d7c", "#b565a7")
DIVERGING = [
    [0.0, "#2166ac"],
    [0.25, "#92c5de"],
    [0.5, "#f7f7f7"],
    [0.75, "#f4a582"],
    [1.0, "#b2182b"],
]
_CLEAR = "rgba(0,0,0,0)"


def styled(figure: go.Figure, title: str, *, height: int, width: int | None = None) -> go.Figure:
    """Give a figure its title and size, a transparent background and neutral greys."""
    axis: dict[str, Any] = {
        "gridcolor": FAINT,
        "linecolor": FAINT,
        "zeroline": False,
        "automargin": True,
    }
    axis["title"] = {"font": {"size": 13}}
    return (
        figure.update_layout(
            title={
                "text": title,
                "x": 0,
                "xref": "container",
                "pad": {"l": 16},
                "font": {"size": 16},
            },
            font={"color": NEUTRAL, "family": "Helvetica, Arial, sans-serif", "size": 13},
            paper_bgcolor=_CLEAR,
            plot_bgcolor=_CLEAR,
            height=height,
            width=width,
            margin={"l": 60, "r": 24, "t": 56, "b": 48},
            legend={"bgcolor": _CLEAR},
            hovermode="closest",
        )
        .update_xaxes(**axis)
        .update_yaxes(**axis)
    )


def message(text: str, title: str) -> go.Figure:
    """A figure that says why there is nothing to draw."""
    figure = go.Figure().add_annotation(
        text=text, showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper", font={"size": 15}
    )
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    return styled(figure, title, height=240)


def mix(colour: str, opacity: float) -> str:
    """A `#rrggbb` colour with an opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:.2f})"


LEGEND_ABOVE = {"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"}
