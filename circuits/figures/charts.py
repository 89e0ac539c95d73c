"""Head scores as a heat map, the sparsity sweep, and the cost of each stage."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots
from torch import Tensor

from circuits.components import Head
from circuits.cost import Cost, StageCost
from circuits.figures.style import DIVERGING, LEGEND_ABOVE, NEUTRAL, NODE, SERIES, message, styled
from circuits.pruning import Pruning


def head_scores_figure(
    scores: Float[Tensor, "layer head"] | Float[np.ndarray, "layer head"],
    candidates: Collection[Head] | None = None,
    title: str = "Head scores",
) -> go.Figure:
    """Draw head scores as a heat map, layers across and heads upward; candidates are framed.

    Args:
        scores: One number for each head; NaN leaves its place empty.
        candidates: Heads to frame, for example `Discovery.candidates`.
        title: Title of the figure.

    """
    values = np.asarray(scores.detach().cpu() if isinstance(scores, Tensor) else scores, float)
    if not np.isfinite(values).any():
        return message("There are no scores.", title)
    n_layers, n_heads = values.shape
    chosen = frozenset(candidates or ())
    figure = go.Figure(_heat_map(values, chosen))
    if chosen:
        figure.add_trace(_frames(sorted(chosen)))
    figure = styled(figure, title, height=round(np.clip(150 + 24 * n_heads, 260, 800)))
    figure.update_xaxes(title_text="layer", showgrid=False, range=[-0.5, n_layers - 0.5])
    figure.update_yaxes(title_text="head", showgrid=False, dtick=1, range=[-0.5, n_heads - 0.5])
    return figure.update_layout(legend=LEGEND_ABOVE)


def _heat_map(values: Float[np.ndarray, "layer head"], chosen: frozenset[Head]) -> go.Heatmap:
    n_layers, n_heads = values.shape
    limit = float(np.abs(values[np.isfinite(values)]).max()) or 1.0
    by_head = [[Head(layer, index) for layer in range(n_layers)] for index in range(n_heads)]
    numbers = [[float(f"{v:.4g}") if np.isfinite(v) else None for v in row] for row in values.T]
    return go.Heatmap(
        z=numbers,
        text=[[f"{head}{' (candidate)' * (head in chosen)}" for head in row] for row in by_head],
        hovertemplate="head %{text}<br>score %{z:.3f}<extra></extra>",
        colorscale=DIVERGING,
        zmin=-limit,
        zmax=limit,
        colorbar={
            "title": {"text": "score", "font": {"size": 13}},
            "thickness": 14,
            "outlinewidth": 0,
        },
    )


def _frames(heads: list[Head], inset: float = 0.43) -> go.Scatter:
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1], [-1, -1]]) * inset
    x = [v for head in heads for v in [*(head.layer + corners[:, 0]).round(2).tolist(), None]]
    y = [v for head in heads for v in [*(head.index + corners[:, 1]).round(2).tolist(), None]]
    line = {"color": NODE, "width": 1.8}
    return go.Scatter(
        x=x, y=y, mode="lines", line=line, name="candidates", hoverinfo="skip", showlegend=True
    )


def sparsity_curve_figure(
    prunings: Pruning | Mapping[str, Pruning], title: str = "Performance as heads are pruned"
) -> go.Figure:
    """Draw performance against sparsity, the cut just before the cliff marked.

    Args:
        prunings: One pruning, or several by name, for example `Discovery.prunings`.
        title: Title of the figure.

    """
    named = {"pruning": prunings} if isinstance(prunings, Pruning) else prunings
    if not named:
        return message("Nothing was pruned.", title)
    figure = go.Figure()
    for i, (name, pruning) in enumerate(named.items()):
        _add_curve(figure, name, pruning, SERIES[i % len(SERIES)])
    figure = styled(figure, title, height=380)
    figure.update_xaxes(title_text="sparsity (share of heads removed)", tickformat=".0%")
    figure.update_yaxes(title_text="performance, % of the full model", rangemode="tozero")
    return figure.update_layout(legend=LEGEND_ABOVE)


def _add_curve(figure: go.Figure, name: str, pruning: Pruning, colour: str) -> None:
    figure.add_scatter(
        x=list(pruning.sparsities),
        y=[round(value, 3) for value in pruning.performances],
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 5},
        name=name,
        legendgroup=name,
        hovertemplate=f"{name}<br>sparsity %{{x:.0%}}<br>performance %{{y:.1f}} %<extra></extra>",
    )
    left = len(pruning.candidates)
    figure.add_scatter(
        x=[pruning.sparsities[pruning.cut]],
        y=[round(pruning.performance, 3)],
        mode="markers+text",
        marker={"size": 14, "color": "rgba(0,0,0,0)", "line": {"color": colour, "width": 2.5}},
        text=[f"cut before the cliff: {left} head{'s' * (left != 1)} left"],
        textposition="top right",
        textfont={"color": colour},
        name=f"{name} cut",
        legendgroup=name,
        showlegend=False,
        hoverinfo="skip",
    )


def cost_figure(cost: Cost, title: str | None = None) -> go.Figure:
    """Draw what each stage of a discovery cost, in forward passes and in seconds.

    Args:
        cost: For example `Discovery.cost`.
        title: By default the totals.

    """
    if not cost.stages:
        return message("No stage was measured.", title or "Cost")
    if title is None:
        title = f"Cost: {cost.forward_passes:,.0f} forward passes, {cost.seconds:,.1f} s"
    figure = make_subplots(cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    names = [stage.stage for stage in cost.stages]
    passes = [round(stage.flops / cost.forward_pass_flops, 2) for stage in cost.stages]
    seconds = [round(stage.seconds, 2) for stage in cost.stages]
    hover = [_describe(stage) for stage in cost.stages]
    for column, values in enumerate((passes, seconds), start=1):
        figure.add_bar(
            x=values,
            y=names,
            orientation="h",
            text=[f"{value:,.1f}" for value in values],
            textposition="outside",
            cliponaxis=False,
            marker={"color": SERIES[column - 1]},
            hovertext=hover,
            hovertemplate="%{hovertext}<extra></extra>",
            showlegend=False,
            row=1,
            col=column,
        )
    figure = styled(figure, title, height=150 + 34 * len(names))
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(title_text="forward passes", range=[0, 1.15 * max(passes)], col=1)
    figure.update_xaxes(title_text="seconds", range=[0, 1.15 * max(seconds)], col=2)
    return figure.update_traces(textfont={"color": NEUTRAL})


def _describe(stage: StageCost) -> str:
    return (
        f"<b>{stage.stage}</b><br>{stage.flops / 1e9:,.1f} GFLOPs<br>{stage.seconds:.2f} s"
        f"<br>peak memory {stage.peak_memory_bytes / 2**20:,.0f} MiB"
    )
