"""What a directory keeps of a grid or a study."""

from __future__ import annotations

import json

import pytest

from circuits import DiscoveryConfig, PruningRule, discover_grid, discover_study
from circuits.discovery.record import GRID_FILE
from circuits.errors import FormatError
from circuits.studies.record import SearchRecord
from tests.circuits.conftest import RULE

CONFIG = DiscoveryConfig(
    method="app",
    n_prompts=4,
    n_mean_prompts=10,
    selection=RULE,
    pruning=PruningRule("biggest", 0.2, 0.6, 0.05),
)


@pytest.fixture(scope="module")
def grid(toy):
    return discover_grid(*toy, thresholds=(0.4, 0.8), min_effects=(0.0,), config=CONFIG)


def test_a_grid_comes_back(grid, tmp_path):
    grid.save(tmp_path)
    record = SearchRecord.load(tmp_path)
    assert record == SearchRecord.of(grid.to_dict())
    assert (record.keep, record.n_trials) == (grid.keep, None)
    for kept, point in zip(record.points, grid.points, strict=True):
        assert (kept.rule, kept.heads) == (point.selection, point.circuit.heads)
        assert (kept.performance, kept.n_edges) == (point.performance, len(point.circuit.edges))
        assert (kept.pareto, kept.chosen) == (point in grid.pareto, point == grid.best)


def test_a_study_comes_back_with_its_prunings(toy, tmp_path):
    study = discover_study(*toy, n_trials=2, config=CONFIG)
    study.save(tmp_path)
    record = SearchRecord.load(tmp_path)
    assert record.n_trials == 2
    assert [p.pruning for p in record.points] == [trial.pruning for trial in study.points]


def test_a_plain_run_has_none(found, tmp_path):
    found.save(tmp_path)
    assert SearchRecord.load(tmp_path) is None


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"keep": 75, "points": [{}]}'])
def test_damage_is_told_with_the_file(damage, tmp_path):
    (tmp_path / GRID_FILE).write_text(damage)
    with pytest.raises(FormatError, match=r"grid\.json is damaged"):
        SearchRecord.load(tmp_path)


def test_a_damaged_entry_is_named(grid, tmp_path):
    grid.save(tmp_path)
    data = json.loads((tmp_path / GRID_FILE).read_text())
    data["points"][1]["heads"] = ["nine"]
    (tmp_path / GRID_FILE).write_text(json.dumps(data))
    with pytest.raises(FormatError, match=r"damaged: .*points\.1\.heads"):
        SearchRecord.load(tmp_path)
