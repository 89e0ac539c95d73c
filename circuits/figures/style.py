"""What every figure shares: the colours of each theme, page settings, plain text.

Red and blue are used for signs, never red and green. `tests/circuits/figures/test_style.py` holds
every palette to what normal and colour-blind sight can distinguish, and to contrast
with its page.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from math import isfinite
from typing import Any, Literal, get_args

import plotly.graph_objects as go

from circuits.errors import UnknownNameError, unknown_name

Theme = Literal["transparent", "light", "dark"]
"""`transparent` has no page of its own, and middle tones that can be read on light and dark."""
THEMES: tuple[Theme, ...] = get_args(Theme)
"""Every theme."""
ColourScale = tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Palette:
    """The colours of a theme.

    Attributes:
        page: The background.
        ink: Titles, and lines that frame something.
        muted: All other text.
        faint: Grid lines.
        helps: An effect below 0: corrupting the path does harm.
        hurts: An effect above 0.
        node: The fill of heads; `on_node` is what is written there.
        rim: The outline of heads.
        series: Kinds of data, in this order.
        diverging: From -1 over 0 to 1; 0 is near to the page.
        sequential: From 0, near to the page, to 1.

    """

    page: str
    ink: str
    muted: str
    faint: str
    helps: str
    hurts: str
    node: str
    on_node: str
    rim: str
    series: tuple[str, str, str, str]
    diverging: ColourScale
    sequential: ColourScale


def _scale(*colours: str) -> ColourScale:
    return tuple((number / (len(colours) - 1), colour) for number, colour in enumerate(colours))


_CLEAR = "rgba(0,0,0,0)"
_PALETTES: dict[Theme, Palette] = {
    "transparent": Palette(
        page=_CLEAR,
        ink="#757d88",
        muted="#757d88",
        faint="rgba(125,133,144,0.22)",
        helps="#3d8bd4",
        hurts="#de5a3f",
        node="#57606a",
        on_node="#ffffff",
        rim="#aab1ba",
        series=("#3d8bd4", "#c9862c", "#2c7a52", "#b8519a"),
        diverging=_scale("#2f7fd0", "#7fb2e3", "rgba(125,133,144,0.12)", "#eba28f", "#d6492b"),
        sequential=_scale("rgba(125,133,144,0.10)", "#7fb2e3", "#2f7fd0"),
    ),
    "light": Palette(
        page="#ffffff",
        ink="#24292f",
        muted="#57606a",
        faint="#e4e8ec",
        helps="#1f6fb8",
        hurts="#cf4a2e",
        node="#4b5560",
        on_node="#ffffff",
        rim="#ffffff",
        series=("#1f6fb8", "#b06a0c", "#0ca35f", "#7a2f6e"),
        diverging=_scale("#2166ac", "#92c5de", "#f7f7f7", "#f4a582", "#b2182b"),
        sequential=_scale("#f7fbff", "#9ecae1", "#3182bd", "#08306b"),
    ),
    "dark": Palette(
        page="#0d1117",
        ink="#e6edf3",
        muted="#9da7b3",
        faint="#252b33",
        helps="#58a6e8",
        hurts="#f07a5c",
        node="#5b6673",
        on_node="#ffffff",
        rim="#0d1117",
        series=("#58a6e8", "#f0b545", "#a6e3c8", "#c4559c"),
        diverging=_scale("#7cc0ff", "#2f669c", "#1b2028", "#a04a33", "#ff9a7a"),
        sequential=_scale("#161b22", "#1f4e79", "#58a6e8", "#e3f2ff"),
    ),
}
_NUMBERED = 16
"""Up to so many layers or heads each has its number on the axis."""
_FONT = "Helvetica, Arial, sans-serif"
_LEGEND_BELOW = {
    "orientation": "h",
    "xref": "container",
    "x": 0.02,
    "yref": "container",
    "y": 0.01,
    "yanchor": "bottom",
}


def palette_of(theme: Theme) -> Palette:
    """The colours of a theme. Raises UnknownNameError naming the themes there are."""
    if theme not in _PALETTES:
        raise UnknownNameError(unknown_name("theme", theme, THEMES))
    return _PALETTES[theme]


def styled(
    figure: go.Figure,
    title: str,
    palette: Palette,
    *,
    height: int,
    width: int | None = None,
    subtitle: str = "",
) -> go.Figure:
    """Give a figure its title and size, the page of its theme and the colours of text and axes."""
    axis: dict[str, Any] = {
        "gridcolor": palette.faint,
        "linecolor": palette.faint,
        "zeroline": False,
        "automargin": True,
        "ticks": "",
        "title": {"font": {"size": 13}, "standoff": 8},
    }
    heading: dict[str, Any] = {
        "text": plain(title),
        "x": 0,
        "xref": "container",
        "pad": {"l": 16},
        "font": {"size": 16, "color": palette.ink},
    }
    if subtitle:
        heading["subtitle"] = {
            "text": plain(subtitle),
            "font": {"size": 13, "color": palette.muted},
        }
    figure.update_layout(
        template="none",
        title=heading,
        font={"color": palette.muted, "family": _FONT, "size": 13},
        paper_bgcolor=palette.page,
        plot_bgcolor=_CLEAR,
        height=height,
        width=width,
        margin={"l": 60, "r": 24, "t": 76 if subtitle else 56, "b": 56},
        legend={"bgcolor": _CLEAR, **_LEGEND_BELOW},
        hovermode="closest",
    )
    return figure.update_xaxes(**axis).update_yaxes(**axis)


def head_axes(figure: go.Figure, n_layers: int, n_heads: int, around: float = 0.5) -> go.Figure:
    """Layers across and heads upward, each with its number where there are few."""
    for update, name, n in (
        (figure.update_xaxes, "layer", n_layers),
        (figure.update_yaxes, "head", n_heads),
    ):
        update(title_text=name, range=[-around, n - 1 + around])
        update(dtick=1 if n <= _NUMBERED else None)
    return figure


def message(text: str, title: str, palette: Palette) -> go.Figure:
    """A figure that says why there is nothing to draw."""
    figure = go.Figure().add_annotation(
        text=plain(text), showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper"
    )
    figure.update_annotations(font={"size": 15})
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    return styled(figure, title, palette, height=240)


def plain(text: str) -> str:
    """Text as it is: plotly would read tags in it, and names come from files and prompts."""
    return escape(text, quote=False)


def colour_bar(title: str) -> dict[str, Any]:
    """The legend of a heat map's colours."""
    # Above the bar its name would touch the topmost number.
    heading = {"text": title, "font": {"size": 13}, "side": "right"}
    return {"title": heading, "thickness": 14, "outlinewidth": 0}


def shown(value: float) -> float | None:
    """Four decimals; nothing where there is no number to show."""
    return round(value, 4) if isfinite(value) else None


def mix(colour: str, opacity: float) -> str:
    """A `#rrggbb` colour with an opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:.2f})"
