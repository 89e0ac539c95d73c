"""One number for each head, layers across and heads upward: scores, and effects on a receiver."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from circuits.circuit import Circuit
from circuits.components import Head, Receiver
from circuits.figures.style import (
    Palette,
    Theme,
    colour_bar,
    head_axes,
    message,
    palette_of,
    styled,
)
from circuits.patching import EdgeValues

_ABOVE_AND_BELOW, _ROW = 164, 24


def head_scores_figure(
    scores: Float[Tensor, "layer head"] | Float[np.ndarray, "layer head"],
    candidates: Collection[Head] | None = None,
    title: str = "Head scores",
    *,
    framed: str = "candidate",
    theme: Theme = "transparent",
) -> go.Figure:
    """Draw head scores as a heat map, layers across and heads upward; candidates are framed.

    Args:
        scores: One number for each head; NaN leaves its place empty.
        candidates: Heads to frame, for example `Discovery.candidates`.
        title: Title of the figure.
        framed: What to call these heads.
        theme: "transparent", "light" or "dark".

    Raises:
        UnknownNameError: The theme is unknown.

    >>> heat, frames = head_scores_figure(scores, found.candidates).data
    >>> len(heat.z), len(heat.z[0]), frames.name  # heads upward, layers across
    (4, 3, 'candidate')
    """
    palette = palette_of(theme)
    values = np.asarray(scores.detach().cpu() if isinstance(scores, Tensor) else scores, float)
    if not np.isfinite(values).any():
        return message("There are no scores.", title, palette)
    return _head_map(values, "score", frozenset(candidates or ()), framed, title, palette)


def receiver_effects_figure(
    effects: EdgeValues,
    receiver: Receiver | str,
    circuit: Circuit | None = None,
    title: str | None = None,
    *,
    theme: Theme = "transparent",
) -> go.Figure:
    """Draw the effects of all senders on one receiver as a heat map; kept senders are framed.

    Blue helps the answer and red hurts it, as in `circuit_figure`. Only layers that have a path to
    the receiver are shown; a dot marks a head whose path was not measured.

    Args:
        effects: For example `Discovery.effects`.
        receiver: One, or its name: "9.6.q", "logits".
        circuit: Its edges into the receiver are framed.
        title: By default the receiver.
        theme: "transparent", "light" or "dark".

    Raises:
        InputError: The text names no receiver.
        MismatchError: The model has no such receiver.
        UnknownNameError: The theme is unknown.

    >>> figure = receiver_effects_figure(effects, "logits", circuit)
    >>> figure.layout.title.text, figure.data[-1].name
    ('Effects on logits', 'in the circuit')
    """
    palette = palette_of(theme)
    receiver = Receiver.parse(receiver) if isinstance(receiver, str) else receiver
    title = title or f"Effects on {receiver}"
    values = effects.effects(receiver).detach().cpu().double().numpy()
    below = effects.graph.senders[effects.graph.below(receiver)]
    n_layers = len({sender.layer for sender in below if isinstance(sender, Head)})
    values = values[:n_layers]
    if not np.isfinite(values).any():
        return message(f"No effect on {receiver} was measured.", title, palette)
    edges = circuit.edges if circuit else ()
    senders = (edge.sender for edge in edges if edge.receiver == receiver)
    kept = frozenset(sender for sender in senders if isinstance(sender, Head))
    return _head_map(values, "effect", kept, "in the circuit", title, palette)


def _head_map(
    values: Float[np.ndarray, "layer head"],
    quantity: str,
    chosen: frozenset[Head],
    role: str,
    title: str,
    palette: Palette,
) -> go.Figure:
    """The heat map with frames around the heads that have a role, dots where there is no number."""
    n_layers, n_heads = values.shape
    figure = go.Figure(_heat_map(values, quantity, chosen, role, palette))
    missing = [Head(*place) for place in np.argwhere(~np.isfinite(values)).tolist()]
    if missing:
        figure.add_trace(_dots(missing, palette))
    if chosen:
        figure.add_trace(_frames(sorted(chosen), role, palette))
    height = round(np.clip(_ABOVE_AND_BELOW + _ROW * n_heads, 260, 800))
    styled(figure, title, palette, height=height)
    figure.update_xaxes(showgrid=False).update_yaxes(showgrid=False)
    return head_axes(figure, n_layers, n_heads)


def _heat_map(
    values: Float[np.ndarray, "layer head"],
    quantity: str,
    chosen: frozenset[Head],
    role: str,
    palette: Palette,
) -> go.Heatmap:
    n_layers, n_heads = values.shape
    limit = float(np.abs(values[np.isfinite(values)]).max()) or 1.0
    by_head = [[Head(layer, index) for layer in range(n_layers)] for index in range(n_heads)]
    numbers = [[float(f"{v:.4g}") if np.isfinite(v) else None for v in row] for row in values.T]
    return go.Heatmap(
        z=numbers,
        text=[[f"{head}{f' ({role})' * (head in chosen)}" for head in row] for row in by_head],
        hovertemplate=f"head %{{text}}<br>{quantity} %{{z:.3f}}<extra></extra>",
        hoverongaps=False,
        colorscale=palette.diverging,
        zmin=-limit,
        zmax=limit,
        colorbar=colour_bar(quantity),
    )


def _frames(heads: list[Head], name: str, palette: Palette, inset: float = 0.43) -> go.Scatter:
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1], [-1, -1]]) * inset
    x = [v for head in heads for v in [*(head.layer + corners[:, 0]).round(2).tolist(), None]]
    y = [v for head in heads for v in [*(head.index + corners[:, 1]).round(2).tolist(), None]]
    line = {"color": palette.ink, "width": 1.6}
    return go.Scatter(
        x=x, y=y, mode="lines", line=line, name=name, hoverinfo="skip", showlegend=True
    )


def _dots(heads: list[Head], palette: Palette) -> go.Scatter:
    return go.Scatter(
        x=[head.layer for head in heads],
        y=[head.index for head in heads],
        mode="markers",
        marker={"size": 3, "color": palette.muted},
        name="not measured",
        hovertext=[f"head {head}<br>not measured" for head in heads],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=True,
    )
