"""How the figures of a discovery spread over seeds."""

from __future__ import annotations

from math import ceil

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from circuits.figures.style import Palette, Theme, message, palette_of, plain, styled
from circuits.statistics import Distribution
from circuits.studies import SeedStudy

_COLUMNS = 2
_MARGIN = 0.03


def seeds_figure(
    study: SeedStudy, title: str | None = None, *, theme: Theme = "transparent"
) -> go.Figure:
    """Draw a histogram of each figure, with the mean and the value of the reported seed.

    Args:
        study: From `discover_seeds`.
        title: By default the number of seeds.
        theme: "transparent", "light" or "dark".

    Raises:
        UnknownNameError: The theme is unknown.

    >>> figure = seeds_figure(study)
    >>> figure.layout.title.text, figure.layout.annotations[0].text
    ('Figures over 2 seeds', 'performance: ... ± ...')
    """
    palette = palette_of(theme)
    title = title or f"Figures over {len(study.runs)} seeds"
    shown = {name: figure for name, figure in study.figures.items() if figure.known}
    if not shown:
        return message("No seed has a circuit.", title, palette)
    rows = ceil(len(shown) / _COLUMNS)
    names = [f"{plain(name)}: {d.mean:.3g} ± {d.sd:.2g}" for name, d in shown.items()]
    figure = make_subplots(rows, _COLUMNS, subplot_titles=names, vertical_spacing=0.4 / rows)
    for place, distribution in enumerate(shown.values()):
        where = {"row": place // _COLUMNS + 1, "col": place % _COLUMNS + 1}
        _add_histogram(figure, distribution, study.reported, where, palette, is_first=place == 0)
    styled(figure, title, palette, height=130 + 190 * rows)
    figure.update_annotations(font={"size": 13})
    figure.update_yaxes(rangemode="tozero", tickformat="d", title_text="seeds")
    return figure.update_layout(bargap=0)


def _add_histogram(
    figure: go.Figure,
    distribution: Distribution,
    reported: int,
    where: dict[str, int],
    palette: Palette,
    *,
    is_first: bool,
) -> None:
    counts, edges = distribution.histogram.counts, distribution.histogram.edges
    lefts, rights = edges[:-1], edges[1:]
    figure.add_bar(
        x=[round((a + b) / 2, 6) for a, b in zip(lefts, rights, strict=True)],
        y=list(counts),
        width=[b - a for a, b in zip(lefts, rights, strict=True)],
        marker={"color": palette.series[0], "line": {"color": palette.rim, "width": 1}},
        # Lines must stand out from the bars that they cross.
        opacity=0.5,
        hovertext=[
            f"{a:.4g} to {b:.4g}: {count} seed{'s' * (count != 1)}"
            for a, b, count in zip(lefts, rights, counts, strict=True)
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        name="seeds",
        showlegend=False,
        **where,
    )
    marks = {"mean": (distribution.mean, palette.ink, "dot")}
    if reported in distribution.known:
        marks[f"seed {reported}"] = (distribution.known[reported], palette.hurts, "solid")
    # A mark at the very end would be cut in half.
    margin = _MARGIN * (edges[-1] - edges[0])
    figure.update_xaxes(
        range=[edges[0] - margin, edges[-1] + margin], row=where["row"], col=where["col"]
    )
    for name, (value, colour, dash) in marks.items():
        figure.add_scatter(
            x=[value, value],
            y=[0, max(counts)],
            mode="lines",
            line={"color": colour, "width": 2, "dash": dash},
            name=name,
            legendgroup=name,
            showlegend=is_first,
            hovertemplate=f"{name}: {value:.4g}<extra></extra>",
            **where,
        )
