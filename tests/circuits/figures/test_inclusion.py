"""Bars of how many circuits have each part: what must be seen is in them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from circuits.circuit import Circuit
from circuits.figures import THEMES, inclusion_figure
from circuits.figures.style import palette_of
from circuits.studies import SeedRun, SeedStudy
from tests.circuits.figures.reading import heading, in_legend, notes, survives_json


@pytest.fixture
def study(found):
    """Eight seeds: one head in all of them, one in five, one in a single one."""

    def run(seed: int) -> SeedRun:
        names = ["2.1", *(["0.3"] if seed < 5 else []), *(["1.0"] if seed == 0 else [])]
        circuit = Circuit.of_heads(names, 3, 4)
        return SeedRun(replace(found, config=replace(found.config, seed=seed), circuit=circuit))

    return SeedStudy(tuple(map(run, range(8))), reported=0)


def test_each_head_has_its_bar_interval_and_kind(study) -> None:
    figure = inclusion_figure(study, nodes=True)
    bars = {bar.name: dict(zip(bar.y, bar.x, strict=True)) for bar in figure.data}
    assert bars == {"core": {"2.1": 1.0}, "contingent": {"0.3": 0.625}, "noise": {"1.0": 0.125}}
    assert in_legend(figure) == ["core", "contingent", "noise"]
    core = figure.data[0].error_x
    assert core.array == (0.0,)
    assert core.arrayminus[0] == pytest.approx(1 - study.nodes.rows[0].share.low, abs=1e-4)
    assert figure.layout.yaxis.categoryarray[::-1] == ("2.1", "0.3", "1.0")
    assert figure.layout.shapes[0].x0 == study.rule.core
    assert heading(figure) == "Heads in the circuits of 8 seeds"
    assert survives_json(figure)


def test_what_is_left_out_is_said_and_a_saved_study_draws_the_same(study) -> None:
    figure = inclusion_figure(study.record, nodes=True, most=1)
    assert figure.layout.title.subtitle.text == "with intervals; 2 more are not shown"
    assert figure == inclusion_figure(study, nodes=True, most=1)


@pytest.mark.parametrize("theme", THEMES)
def test_bars_have_the_colours_of_the_theme(study, theme) -> None:
    palette = palette_of(theme)
    colours = [bar.marker.color for bar in inclusion_figure(study, nodes=True, theme=theme).data]
    assert colours == [*palette.series[:2], palette.muted]


def test_edges_are_drawn_unless_nodes_are_asked_for_and_nothing_is_said(study) -> None:
    assert notes(inclusion_figure(study, "Toy")) == ["No seed has a circuit."]
