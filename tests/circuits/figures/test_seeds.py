"""Histograms of a study of hand-made runs: what must be seen is in them."""

from __future__ import annotations

import math
from dataclasses import replace

import plotly.graph_objects as go
import pytest

from circuits.circuit import Circuit
from circuits.figures import THEMES, seeds_figure
from circuits.figures.style import palette_of
from circuits.studies import SeedRun, SeedStudy
from tests.circuits.figures.reading import heading, in_legend, notes, survives_json


@pytest.fixture
def study(found):
    """Ten seeds of known performance; the fourth has no circuit."""

    def run(seed: int, performance: float) -> SeedRun:
        circuit = Circuit.of_heads(["2.1"] if seed % 2 else ["2.1", "0.3"], 3, 4)
        settings = {"config": replace(found.config, seed=seed), "circuit": circuit}
        return SeedRun(replace(found, performance=performance, **settings))

    values = [50.0, 52.0, 54.0, math.nan, 58.0, 60.0, 62.0, 64.0, 66.0, 90.0]
    return SeedStudy(tuple(run(seed, value) for seed, value in enumerate(values)), reported=1)


def test_every_figure_has_its_histogram_and_marks(study) -> None:
    figure = seeds_figure(study)
    bars = [trace for trace in figure.data if isinstance(trace, go.Bar)]
    assert [sum(bar.y) for bar in bars] == [9, 10, 10, 10]
    titles = notes(figure)
    assert titles[0].startswith("performance: 61.8 ± ")
    assert [title.partition(":")[0] for title in titles] == list(study.figures)
    marks = {trace.name: trace.x[0] for trace in figure.data[:3] if trace.name != "seeds"}
    assert marks == {"mean": study.figures["performance"].mean, "seed 1": 52.0}
    assert in_legend(figure) == ["mean", "seed 1"]
    assert survives_json(figure)


@pytest.mark.parametrize("theme", THEMES)
def test_marks_have_the_colours_of_the_theme(study, theme) -> None:
    bar, mean, reported = seeds_figure(study, theme=theme).data[:3]
    palette = palette_of(theme)
    assert bar.marker.color == palette.series[0]
    assert (mean.line.color, reported.line.color) == (palette.ink, palette.hurts)


def test_marks_at_the_ends_are_inside_and_bars_stay_behind_them(study) -> None:
    figure = seeds_figure(study)
    bars = [trace for trace in figure.data if isinstance(trace, go.Bar)]
    assert all(bar.opacity <= 0.5 for bar in bars)
    for number, distribution in enumerate(study.figures.values(), start=1):
        axis = figure.layout["xaxis" if number == 1 else f"xaxis{number}"]
        low, high = axis.range
        assert low < distribution.histogram.edges[0] and distribution.histogram.edges[-1] < high


def test_nothing_to_draw_is_said(study) -> None:
    nothing = Circuit.of_heads((), 3, 4)
    runs = tuple(
        replace(run, found=replace(run.found, circuit=nothing, performance=math.nan))
        for run in study.runs
    )
    refused = replace(runs[0].found.verdict, kind="no circuit")
    runs = tuple(replace(run, found=replace(run.found, verdict=refused)) for run in runs)
    figure = seeds_figure(SeedStudy(runs, reported=0), title="Toy")
    assert notes(figure) == ["No seed has a circuit."]
    assert heading(figure) == "Toy"
