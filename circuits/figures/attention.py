"""Where a head looks."""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import plotly.graph_objects as go

from circuits.figures.style import Theme, colour_bar, palette_of, plain, styled
from circuits.model import AttentionPattern

_CELL, _AROUND, _LONGEST = 24, 190, 1000
_LARGEST_LETTER, _SMALLEST_LETTER = 13, 7


def attention_figure(
    pattern: AttentionPattern, title: str | None = None, *, theme: Theme = "transparent"
) -> go.Figure:
    """Draw the attention pattern of a head on a prompt as a heat map, tokens on both axes.

    A row is a token that looks; its cells say how much it takes from each token up to itself.

    Args:
        pattern: One of `circuits.model.attention_patterns`.
        title: By default the head.
        theme: "transparent", "light" or "dark".

    Raises:
        UnknownNameError: The theme is unknown.

    >>> from circuits.model import attention_patterns
    >>> (pattern,) = attention_patterns(model, "w1 w2 w3", ["1.2"])
    >>> attention_figure(pattern).layout.title.text
    'Attention of head 1.2'
    """
    palette = palette_of(theme)
    n_tokens = len(pattern.tokens)
    cells = [
        [round(weight, 4) if key <= query else None for key, weight in enumerate(row)]
        for query, row in enumerate(pattern.weights.tolist())
    ]
    names = [_visible(token) for token in pattern.tokens]
    heat = go.Heatmap(
        z=cells,
        text=[[f"{query} → {key}" for key in names] for query in names],
        hovertemplate="%{text}<br>attention %{z:.3f}<extra></extra>",
        hoverongaps=False,
        colorscale=palette.sequential,
        zmin=0,
        zmax=1,
        xgap=1,
        ygap=1,
        colorbar=colour_bar("attention"),
    )
    size = min(_AROUND + _CELL * n_tokens, _LONGEST)
    title = title or f"Attention of head {pattern.head}"
    figure = styled(go.Figure(heat), title, palette, height=size, width=size + 100)
    ticks = _ticks(names, (size - _AROUND) / n_tokens)
    figure.update_xaxes(**ticks, tickangle=-60, title_text="is looked at (key)")
    return figure.update_yaxes(**ticks, autorange="reversed", title_text="looks (query)")


def _ticks(names: list[str], cell: float) -> dict[str, Any]:
    """A name for each row and column of `cell` pixels, or for every so many: none on another."""
    letter = min(max(cell, _SMALLEST_LETTER), _LARGEST_LETTER)
    every = ceil(letter / cell)
    # By number: a token can occur twice.
    return {
        "tickvals": list(range(0, len(names), every)),
        "ticktext": names[::every],
        "tickfont": {"size": floor(letter)},
        "showgrid": False,
    }


def _visible(token: str) -> str:
    """A token whose spaces and line breaks can be seen."""
    return plain(token.replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥")) or "∅"
