"""What two circuits share."""

from __future__ import annotations

import plotly.graph_objects as go

from circuits.circuit import Circuit, Overlap
from circuits.components import Head
from circuits.figures.style import Theme, head_axes, message, palette_of, plain, styled


def overlap_figure(
    first: Circuit,
    second: Circuit,
    names: tuple[str, str] = ("first", "second"),
    title: str | None = None,
    *,
    theme: Theme = "transparent",
) -> go.Figure:
    """Draw the heads of two circuits, layers across and heads upward: in both, or in one alone.

    Args:
        first: One circuit.
        second: Another one of the same model.
        names: What to call them.
        title: By default both names.
        theme: "transparent", "light" or "dark".

    Raises:
        MismatchError: They belong to models of different shapes.
        UnknownNameError: The theme is unknown.

    >>> figure = overlap_figure(Circuit.of_heads(["0.0", "1.1"], 3, 4), other, ("ours", "theirs"))
    >>> [trace.name for trace in figure.data]
    ['in both (1)', 'only in ours (1)', 'only in theirs (1)']
    """
    palette = palette_of(theme)
    heads = first.compare(second)
    title = title or f"{names[0]} and {names[1]}"
    if not first.heads | second.heads:
        return message("Neither circuit has heads.", title, palette)
    figure = go.Figure()
    for name, group, symbol, colour in (
        ("in both", heads.true_positives, "circle", palette.node),
        (f"only in {names[0]}", heads.false_positives, "triangle-up", palette.series[0]),
        (f"only in {names[1]}", heads.false_negatives, "square-open", palette.series[1]),
    ):
        figure.add_trace(_markers(sorted(group), name, symbol, colour))
    height = min(150 + 26 * first.n_heads, 800)
    subtitle = _summary("heads", heads)
    if first.edges and second.edges:
        edges = Overlap.of(first.connections, second.connections)
        subtitle = f"{subtitle}; {_summary('edges', edges)}"
    styled(figure, title, palette, height=height + 40, subtitle=subtitle)
    return head_axes(figure, first.n_layers, first.n_heads, around=0.6)


def _markers(heads: list[Head], name: str, symbol: str, colour: str) -> go.Scatter:
    return go.Scatter(
        # An empty trace would not be in the legend.
        x=[head.layer for head in heads] or [None],
        y=[head.index for head in heads] or [None],
        mode="markers",
        marker={
            "size": 13,
            "symbol": symbol,
            "color": colour,
            "line": {"width": 2.5, "color": colour},
        },
        name=f"{plain(name)} ({len(heads)})",
        hovertext=[f"head {head}<br>{plain(name)}" for head in heads],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=True,
    )


def _summary(kind: str, overlap: Overlap) -> str:
    return f"{len(overlap.true_positives)} {kind} shared, IoU {overlap.iou:.2f}"
