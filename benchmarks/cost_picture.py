"""Draw the figures of benchmarks.cost for docs/numbers.md: python -m benchmarks.cost_picture OUT.

OUT ends in .png or .svg. Needs the extra "figures" (kaleido) and a Chrome or Chromium.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import typer

from benchmarks.cost import RESULTS
from benchmarks.cost_report import total
from benchmarks.readme_figure import write_picture
from circuits.figures.style import palette_of, styled


def picture(measured: Mapping[str, Any]) -> go.Figure:
    """Forward passes of each way of searching, by task, on a logarithmic scale."""
    tasks, palette = measured["tasks"], palette_of("transparent")
    bars: dict[str, list[float]] = {
        "naive": [task["naive_passes"] for task in tasks.values()],
        "exact": [task["exact_flops"] / task["forward_pass_flops"] for task in tasks.values()],
        "swept, verified": [_passes(task, "dense") for task in tasks.values()],
        "APP swept, verified": [_passes(task, "app") for task in tasks.values()],
    }
    figure = go.Figure(
        [
            go.Bar(
                name=name,
                x=list(tasks),
                y=values,
                marker_color=colour,
                text=[f"{value:,.0f}" for value in values],
                textposition="outside",
                textfont={"color": palette.muted, "size": 11},
            )
            for (name, values), colour in zip(bars.items(), palette.series, strict=True)
        ]
    )
    title = "Cost of finding a circuit, in forward passes over the same prompts"
    figure = styled(figure, title, palette, height=440, width=1000)
    figure.update_yaxes(type="log", title_text="forward passes", range=[1, 5])
    return figure.update_layout(barmode="group")


def _passes(task: Mapping[str, Any], method: str) -> float:
    return total(task[method]["verified"]) / task["forward_pass_flops"]


def main(out: Path, results: Path = RESULTS) -> None:
    """Write the picture of the recorded figures to OUT."""
    write_picture(lambda: picture(json.loads(results.read_text())), out)


if __name__ == "__main__":
    typer.run(main)
