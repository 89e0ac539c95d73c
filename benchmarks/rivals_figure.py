"""Size against performance of the default and its rivals: a picture for each task.

python -m benchmarks.rivals_figure [--out docs/images]

Of what `benchmarks.rivals` measured. Needs the extra "figures" (kaleido) and a Chrome or Chromium.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import plotly.graph_objects as go
import typer

from benchmarks.publish import ROOT, kept
from benchmarks.readme_figure import write_picture
from benchmarks.rivals import KEEP, RESULTS
from benchmarks.rivals_table import DEFAULT, Row, by_task
from circuits.figures.style import palette_of, styled

LINES = (DEFAULT, "heads by EAP-IG", "top-n by attribution")
"""Ways that have circuits of all sizes; the others are single circuits."""
_SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up")


def rivals_figure(task: str, rows: Sequence[Row]) -> go.Figure:
    """Every chosen circuit of every seed as a point; lines through the means of other targets."""
    palette, figure = palette_of("light"), go.Figure()
    figure.add_hline(y=KEEP, line={"color": palette.muted, "width": 1, "dash": "dash"})
    for number, way in enumerate(dict.fromkeys(way for row in rows for way in row["ways"])):
        found = [row["ways"][way] for row in rows if way in row["ways"]]
        is_line = way in LINES
        colour = palette.series[LINES.index(way)] if is_line else palette.muted
        figure.add_scatter(
            x=[len(one["heads"]) for one in found],
            y=[one["held_out"][0] for one in found],
            mode="markers",
            marker={"color": colour, "symbol": _SYMBOLS[number % len(_SYMBOLS)], "size": 8},
            name=way,
        )
        if is_line:
            means = front(found)
            figure.add_scatter(
                x=[heads for heads, _ in means],
                y=[performance for _, performance in means],
                mode="lines",
                line={"color": colour, "width": 2},
                showlegend=False,
            )
    n_seeds = len(rows)
    styled(
        figure,
        f"{task}: size against performance on held-out prompts",
        palette,
        height=460,
        width=760,
        subtitle=f"points: the circuit of each of {n_seeds} seeds; lines: means at other targets",
    )
    figure.update_xaxes(title_text="heads", type="log", dtick="D1")
    figure.update_yaxes(title_text="% of the model's metric, 64 held-out prompts")
    return figure


def front(found: Sequence[Row]) -> list[tuple[float, float]]:
    """Mean size and performance of the circuits of each target, smallest first.

    A way's `front` begins with the circuit that was chosen; the others rise with the target.
    """
    by_rank = [sorted(one["front"], key=lambda point: len(point["heads"])) for one in found]
    longest = max(len(points) for points in by_rank)
    ranks = [[points[n] for points in by_rank if n < len(points)] for n in range(longest)]
    return [
        (
            fmean(len(point["heads"]) for point in points),
            fmean(point["held_out"][0] for point in points),
        )
        for points in ranks
    ]


def main(results: Path = RESULTS, out: Path = ROOT / "docs" / "images") -> None:
    """Write a picture for each task that was measured."""
    for task, rows in by_task(kept(results)["rows"]).items():
        write_picture(
            lambda task=task, rows=rows: rivals_figure(task, rows), out / f"rivals-{task}.svg"
        )


if __name__ == "__main__":
    typer.run(main)
