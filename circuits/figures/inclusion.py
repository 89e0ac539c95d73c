"""How many of the circuits of many seeds have each head, node or edge."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from circuits.figures.style import Palette, Theme, message, palette_of, plain, shown, styled
from circuits.statistics import Included, Inclusions
from circuits.statistics.inclusion import Kind
from circuits.studies import SeedRecord, SeedStudy
from circuits.summary.agreement import name_of_nodes

_ROW = 18
"""Pixels."""


def inclusion_figure(
    study: SeedStudy | SeedRecord,
    title: str | None = None,
    *,
    nodes: bool = False,
    most: int = 40,
    theme: Theme = "transparent",
) -> go.Figure:
    """Draw the share of seeds whose circuits have each edge, with its interval, as bars.

    Args:
        study: From `discover_seeds`, or what its directory keeps (`SeedRecord.load`).
        title: By default what is shown, and of how many seeds.
        nodes: Whether heads, or nodes, are drawn, as they always are where there are no edges.
        most: How many at most, those that most circuits have first.
        theme: "transparent", "light" or "dark".

    Raises:
        UnknownNameError: The theme is unknown.

    >>> inclusion_figure(study, nodes=True).layout.title.text
    'Heads in the circuits of 2 seeds'
    """
    palette = palette_of(theme)
    record = study.record if isinstance(study, SeedStudy) else study
    every: Inclusions[Any] = record.nodes
    name = name_of_nodes(record.mlps).capitalize()
    if record.edges is not None and not nodes:
        every, name = record.edges, "Edges"
    title = title or f"{name} in the circuits of {len(record.seeds)} seeds"
    rows = every.rows[:most]
    if not rows:
        return message("No seed has a circuit.", title, palette)
    figure = go.Figure([_bars(rows, kind, colour) for kind, colour in _colours(palette).items()])
    left = len(every.rows) - len(rows)
    subtitle = f"with intervals; {left:,} more are not shown" if left else "with intervals"
    styled(figure, title, palette, height=150 + _ROW * len(rows), subtitle=subtitle)
    figure.add_vline(x=record.rule.core, line={"color": palette.muted, "width": 1, "dash": "dot"})
    names = [plain(str(row.item)) for row in rows]
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], dtick=1)
    figure.update_xaxes(range=[0, 1.02], tickformat=".0%", title_text="share of the seeds")
    return figure.update_layout(barmode="overlay", bargap=0.3)


def _colours(palette: Palette) -> dict[Kind, str]:
    core, contingent, *_ = palette.series
    return {"core": core, "contingent": contingent, "noise": palette.muted}


def _bars(rows: tuple[Included[Any], ...], kind: Kind, colour: str) -> go.Bar:
    some = [row for row in rows if row.kind == kind]
    shares = [row.share for row in some]
    return go.Bar(
        x=[shown(share.value) for share in shares],
        y=[plain(str(row.item)) for row in some],
        orientation="h",
        name=kind,
        marker={"color": colour},
        opacity=0.6,
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [shown(share.high - share.value) for share in shares],
            "arrayminus": [shown(share.value - share.low) for share in shares],
            "thickness": 1,
            "color": colour,
        },
        hovertext=[
            f"<b>{plain(str(row.item))}</b><br>{kind}<br>{row.count} circuits have it: "
            f"{row.share:.0%}<br>p {row.p_value:.2g} by chance"
            for row in some
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=bool(some),
    )
