"""The circuit as a layered graph."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import plotly.graph_objects as go

from circuits.circuit import Circuit
from circuits.components import MLP, Edge, Embedding, Head, Node
from circuits.errors import InputError
from circuits.figures.layout import Layout, arrange, bend
from circuits.figures.style import Palette, Theme, message, mix, palette_of, styled
from circuits.graph import Depth
from circuits.summary import ranking
from circuits.summary.size import size as size_of

_DASHES = {"q": "solid", "k": "9px,5px", "v": "3px,4px", "mlp": "solid", "logits": "solid"}
"""In pixels: plotly's own grow with the width, and a short wide edge would be two blots."""
_PORTS = {"q": -0.1, "k": 0.0, "v": 0.1, "mlp": 0.0, "logits": 0.0}
_INPUT_NAMES = {"q": "query input", "k": "key input", "v": "value input"}
_MARKS = {
    Head: ("heads", "circle"),
    MLP: ("MLPs", "square"),
    Embedding: ("embedding", "diamond"),
}
_BETWEEN_SPANS = 0.05
_POINTS = 17
_MOST_FOR_LAYOUT = 200
_ABOVE_AND_BELOW, _BESIDE = 150, 84
_PAGE = 1000
"""Pixels of a page whose width is not known."""


def circuit_figure(
    circuit: Circuit,
    title: str | None = None,
    *,
    strongest: int | None = 200,
    width: int | None = None,
    height: int | None = None,
    theme: Theme = "transparent",
) -> go.Figure:
    """Draw a circuit as a layered graph, the logits on top.

    Only layers with nodes are shown: heads as circles, MLPs as squares above their layer's heads,
    the embedding as a diamond. Edges are blue where they help the answer (effect below 0), else
    red; wide by |effect|; dashed into keys, dotted into values, else solid. Edges of one pair at
    several spans stand side by side in the order of the spans, and say which it is.

    Args:
        circuit: What to draw.
        title: By default the circuit's size.
        strongest: Draw this many edges, those of the largest |effect|; None draws all.
        width: In pixels; by default that of the page.
        height: In pixels; by default by the number of layers.
        theme: "transparent", "light" or "dark".

    Raises:
        InputError: `strongest` is negative, or (UnknownNameError) the theme is unknown.

    >>> circuit_figure(circuit.restricted_to([Head(0, 3), Head(1, 2)]), strongest=1).data[0].name
    '1.2 → logits'
    """
    if strongest is not None and strongest < 0:
        raise InputError(f"strongest must be a number of edges >= 0 or None, got {strongest}")
    palette = palette_of(theme)
    ranked = ranking.strongest(circuit.edges, strongest)
    title = _title(circuit, len(ranked)) if title is None else title
    if not circuit.nodes:
        return message("This circuit has no heads.", title, palette)
    heads: list[Node] = sorted(circuit.nodes)
    layout = _arranged(tuple(heads), tuple(ranked[:_MOST_FOR_LAYOUT]))
    if height is None:
        height = round(_ABOVE_AND_BELOW + np.clip(800 / layout.n_rows, 36, 64) * layout.n_rows)
    row_pixels = (height - _ABOVE_AND_BELOW) / layout.n_rows
    figure = go.Figure([*_edge_traces(circuit, ranked, layout, palette), *_legend(palette)])
    column_pixels = ((width or _PAGE) - _BESIDE) / (layout.width + 1.4)
    size = float(np.clip(min(0.74 * row_pixels, 0.9 * column_pixels), 12, 32))
    figure.add_traces(_node_traces(heads, circuit, ranked, layout, size, palette))
    _add_logits_bar(figure, layout, palette, half_height=13 / row_pixels)
    styled(figure, title, palette, height=height, width=width, subtitle=_subtitle(ranked))
    return _with_axes(figure, layout)


@lru_cache(maxsize=8)
def _arranged(heads: tuple[Node, ...], edges: tuple[Edge, ...]) -> Layout:
    """The same circuit is often drawn in two themes, and a layout takes seconds."""
    return arrange(list(heads), list(edges))


def _title(circuit: Circuit, n_shown: int) -> str:
    text = size_of(circuit)
    hidden = n_shown < len(circuit.edges)
    return f"{text}; the {n_shown} strongest are drawn" if hidden else text


def _subtitle(ranked: list[Edge]) -> str:
    if not ranked:
        return ""
    edge = ranked[0]
    return f"wider: larger effect, up to {edge.effect:+.2g} ({edge.sender} → {edge.receiver})"


def _edge_traces(
    circuit: Circuit, ranked: list[Edge], layout: Layout, palette: Palette
) -> list[go.Scatter]:
    """The strongest on top; those of each span somewhat aside, so that they hide no other."""
    largest = max((abs(edge.effect) for edge in ranked), default=0.0) or 1.0
    names = [None] if circuit.spans is None else circuit.spans.names
    aside = {
        name: _BETWEEN_SPANS * (place - (len(names) - 1) / 2) for place, name in enumerate(names)
    }
    return [
        _edge_trace(edge, layout, largest, palette, aside[edge.receiver.span])
        for edge in reversed(ranked)
    ]


def _edge_trace(
    edge: Edge, layout: Layout, largest: float, palette: Palette, aside: float
) -> go.Scatter:
    receiver, share = edge.receiver, abs(edge.effect) / largest
    start, low = layout.x[edge.sender] + aside, layout.y(edge.sender)
    if receiver.node is None:
        end, high = start, layout.top
    else:
        end = layout.x[receiver.node] + _PORTS[receiver.input] + aside
        high = layout.y(receiver.node)
    up = np.linspace(0, 1, _POINTS)
    colour = palette.helps if edge.effect < 0 else palette.hurts
    return go.Scatter(
        x=np.round(start + (end - start) * bend(up), 3).tolist(),
        y=np.round(low + (high - low) * up, 3).tolist(),
        mode="lines",
        line={
            "color": mix(colour, 0.4 + 0.55 * share**0.4),
            "width": round(0.8 + 7.2 * share**0.75, 2),
            "dash": _DASHES[receiver.input],
            "simplify": False,
        },
        name=f"{edge.sender} → {receiver}",
        hovertemplate=f"{edge.sender} → {receiver}<br>effect {edge.effect:+.4f}<extra></extra>",
        legendgroup=receiver.input,
        showlegend=False,
    )


def _legend(palette: Palette) -> list[go.Scatter]:
    signs = {
        "helps the answer (effect < 0)": palette.helps,
        "hurts it (effect > 0)": palette.hurts,
    }
    entries = [(name, colour, "solid", f"sign {name}", 3) for name, colour in signs.items()]
    entries += [(name, palette.muted, _DASHES[key], key, 2) for key, name in _INPUT_NAMES.items()]
    return [
        go.Scatter(
            x=[None],
            y=[None],
            mode="lines",
            line={"color": colour, "dash": dash, "width": width},
            name=name,
            legendgroup=group,
        )
        for name, colour, dash, group, width in entries
    ]


def _node_traces(
    nodes: list[Node],
    circuit: Circuit,
    drawn: list[Edge],
    layout: Layout,
    size: float,
    palette: Palette,
) -> list[go.Scatter]:
    """Nodes on top of the edges, a mark for each kind; those without an edge drawn step back."""
    linked = {edge.sender for edge in drawn} | {edge.receiver.node for edge in drawn}
    groups = [
        (name, symbol, [node for node in nodes if isinstance(node, kind) and is_in(node)], *colours)
        for kind, (name, symbol) in _MARKS.items()
        for is_in, *colours in (
            (lambda node: node in linked or not drawn, palette.node, palette.on_node),
            (lambda node: node not in linked and drawn, palette.faint, palette.muted),
        )
    ]
    return [
        go.Scatter(
            x=[layout.x[node] for node in group],
            y=[layout.y(node) for node in group],
            mode="markers+text",
            marker={
                "size": size,
                "symbol": symbol,
                "color": fill,
                "opacity": 1,
                "line": {"color": palette.rim, "width": 1},
            },
            text=[str(node) for node in group],
            textfont={"color": ink, "size": _letter_size(group, size)},
            hovertext=[_describe(node, circuit) for node in group],
            hovertemplate="%{hovertext}<extra></extra>",
            name=name,
            showlegend=False,
        )
        for name, symbol, group, fill, ink in groups
        if group
    ]


def _letter_size(nodes: list[Node], size: float) -> int:
    """Letters with which the longest name fits into its mark."""
    longest = max(len(str(node)) for node in nodes)
    return max(8, round(size * min(0.36, 1.6 / longest)))


def _describe(node: Node, circuit: Circuit, most: int = 5) -> str:
    kind = {Head: "head", MLP: "MLP", Embedding: "token embedding"}[type(node)]
    lines = [f"<b>{kind} {node}</b>"]
    for name, edges in (
        ("sends to", [edge for edge in circuit.edges if edge.sender == node]),
        ("receives from", [edge for edge in circuit.edges if edge.receiver.node == node]),
    ):
        lines += [f"{name} {len(edges)}:"] * bool(edges)
        lines += map(str, ranking.strongest(edges, most))
        lines += ["…"] * (len(edges) > most)
    return "<br>".join(lines)


def _add_logits_bar(
    figure: go.Figure, layout: Layout, palette: Palette, half_height: float
) -> None:
    figure.add_shape(
        type="rect",
        x0=-0.5,
        x1=layout.width + 0.5,
        y0=layout.top - half_height,
        y1=layout.top + half_height,
        fillcolor=palette.node,
        line={"color": palette.rim, "width": 1},
    )
    font = {"color": palette.on_node, "size": 13}
    figure.add_annotation(
        x=layout.width / 2, y=layout.top, text="logits", showarrow=False, font=font
    )


def _row_names(depths: list[Depth]) -> list[str]:
    """The layer, at the lower of its rows; the embedding has none."""
    layers = [layer for layer, _ in depths]
    return [
        "" if layer < 0 or layer in layers[:place] else str(layer)
        for place, layer in enumerate(layers)
    ]


def _with_axes(figure: go.Figure, layout: Layout) -> go.Figure:
    figure.update_xaxes(visible=False, range=[-0.7, layout.width + 0.7], fixedrange=False)
    figure.update_yaxes(
        title_text="layer",
        tickvals=list(layout.rows.values()),
        ticktext=_row_names(list(layout.rows)),
        range=[-0.6, layout.top + 0.45],
    )
    return figure
