"""The sparsity sweep, and the cost of each stage."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from circuits.figures.style import (
    Palette,
    Theme,
    message,
    palette_of,
    plain,
    shown,
    styled,
)
from circuits.pruning import Pruning
from circuits.runtime.cost import Cost, StageCost

_SYMBOLS = ("circle", "square", "diamond", "triangle-up")


def sparsity_curve_figure(
    prunings: Pruning | Mapping[str, Pruning],
    title: str = "Performance as heads are pruned",
    *,
    theme: Theme = "transparent",
) -> go.Figure:
    """Draw performance against sparsity, with a ring where each ranking was cut.

    A cliff rule cuts at the last sparsity before performance drops, or at the highest one where it
    never does. `share` and `fixed` do not look at performance: their cut is their only point.

    Args:
        prunings: One pruning, or several by name, for example `Discovery.prunings`.
        title: Title of the figure.
        theme: "transparent", "light" or "dark".

    Raises:
        UnknownNameError: The theme is unknown.

    >>> curve = sparsity_curve_figure(found.prunings).data[0]
    >>> curve.name, len(curve.x)
    ('attribution: ... heads left at ...%', 9)
    """
    palette = palette_of(theme)
    named = {"pruning": prunings} if isinstance(prunings, Pruning) else prunings
    if not named:
        return message("Nothing was pruned.", title, palette)
    figure = go.Figure()
    for number, (name, pruning) in enumerate(named.items()):
        _add_curve(figure, plain(name), pruning, number, palette)
    # Not "before the cliff": some rules look for none, and some curves have none.
    _add_ring_to_legend(figure, "cut", palette)
    styled(figure, title, palette, height=380)
    figure.update_xaxes(title_text="sparsity (share of heads removed)", tickformat=".0%")
    # Around a single point plotly would draw an axis from below 0 % to above 100 %.
    figure.update_xaxes(minallowed=0, maxallowed=1)
    figure.update_yaxes(title_text="performance, % of the full model", rangemode="tozero")
    return figure


def _add_curve(
    figure: go.Figure, name: str, pruning: Pruning, number: int, palette: Palette
) -> None:
    colour = palette.series[number % len(palette.series)]
    left, cut = len(pruning.candidates), pruning.sparsities[pruning.cut]
    figure.add_scatter(
        x=list(pruning.sparsities),
        y=[shown(value) for value in pruning.performances],
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 6, "symbol": _SYMBOLS[number % len(_SYMBOLS)]},
        name=f"{name}: {left} head{'s' * (left != 1)} left at {cut:.0%}",
        legendgroup=name,
        hovertext=[name] * len(pruning.sparsities),
        hovertemplate="%{hovertext}<br>sparsity %{x:.0%}<br>performance %{y:.1f} %<extra></extra>",
    )
    figure.add_scatter(
        x=[cut],
        y=[shown(pruning.performance)],
        mode="markers",
        marker=_ring(colour),
        name=f"{name} cut",
        legendgroup=name,
        showlegend=False,
        hoverinfo="skip",
    )


def _add_ring_to_legend(figure: go.Figure, name: str, palette: Palette) -> None:
    marker = _ring(palette.muted)
    figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=name)


def _ring(colour: str) -> dict[str, object]:
    return {"size": 15, "color": "rgba(0,0,0,0)", "line": {"color": colour, "width": 2.5}}


def cost_figure(cost: Cost, title: str | None = None, *, theme: Theme = "transparent") -> go.Figure:
    """Draw what each stage of a discovery cost, in forward passes and in seconds.

    Args:
        cost: For example `Discovery.cost`.
        title: By default the totals.
        theme: "transparent", "light" or "dark".

    Raises:
        UnknownNameError: The theme is unknown.

    >>> cost_figure(found.cost).data[0].y
    ('behaviour', 'means', 'pruning', 'patching', 'evaluation')
    """
    palette, stages = palette_of(theme), cost.whole
    if not stages:
        return message("No stage was measured.", title or "Cost", palette)
    if title is None:
        title = f"Cost: {cost.forward_passes:,.0f} forward passes, {cost.seconds:,.1f} s"
    figure = make_subplots(cols=2, shared_yaxes=True, horizontal_spacing=0.05)
    passes = [stage.flops / cost.forward_pass_flops for stage in stages]
    seconds = [stage.seconds for stage in stages]
    for column, values in enumerate((passes, seconds), start=1):
        figure.add_bar(
            x=[shown(value) for value in values],
            y=[plain(stage.stage) for stage in stages],
            orientation="h",
            text=[f"{value:,.1f}" for value in values],
            textposition="outside",
            textfont={"color": palette.muted},
            cliponaxis=False,
            marker={"color": palette.series[column - 1], "line": {"width": 0}},
            hovertext=[_describe(stage) for stage in stages],
            hovertemplate="%{hovertext}<extra></extra>",
            showlegend=False,
            row=1,
            col=column,
        )
    styled(figure, title, palette, height=150 + 34 * len(stages))
    figure.update_yaxes(autorange="reversed", showgrid=False)
    for column, (unit, values) in enumerate((("forward passes", passes), ("seconds", seconds)), 1):
        most = max(values) or 1.0
        figure.update_xaxes(title_text=unit, range=[0, 1.18 * most], col=column)
    return figure


def _describe(stage: StageCost) -> str:
    return (
        f"<b>{plain(stage.stage)}</b><br>{stage.flops / 1e9:,.1f} GFLOPs<br>{stage.seconds:.2f} s"
        f"<br>peak memory {stage.peak_memory_bytes / 2**20:,.0f} MiB"
    )
