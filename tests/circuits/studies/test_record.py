"""What a directory keeps of a grid or a study."""

from __future__ import annotations

import json

import pytest

from circuits import DiscoveryConfig, PruningRule, discover_grid, discover_study
from circuits.discovery.record import GRID_FILE
from circuits.errors import FormatError, OverwriteError
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
def test_damage_is_told_with_the_file(damage, found, tmp_path):
    found.save(tmp_path, {GRID_FILE: damage.encode()})
    with pytest.raises(FormatError, match=r"grid\.json is damaged"):
        SearchRecord.load(tmp_path)


def test_a_damaged_entry_is_named(grid, found, tmp_path):
    data = grid.to_dict()
    data["points"][1]["heads"] = ["nine"]
    found.save(tmp_path, {GRID_FILE: json.dumps(data).encode()})
    with pytest.raises(FormatError, match=r"damaged: .*points\.1\.heads"):
        SearchRecord.load(tmp_path)


def test_a_grid_that_was_changed_is_not_taken_for_the_runs(grid, tmp_path):
    grid.save(tmp_path)
    content = (tmp_path / GRID_FILE).read_bytes()
    (tmp_path / GRID_FILE).write_bytes(content.replace(b'"keep": 75.0', b'"keep": 15.0'))
    with pytest.raises(FormatError, match=r"not the one that run\.json was written with"):
        SearchRecord.load(tmp_path)


def test_a_file_of_ones_own_is_neither_read_nor_removed(found, tmp_path):
    mine = tmp_path / GRID_FILE
    mine.write_text("my own notes")
    found.save(tmp_path)
    assert SearchRecord.load(tmp_path) is None
    assert mine.read_text() == "my own notes"


def test_a_grid_is_not_written_over_a_file_of_ones_own(grid, tmp_path):
    mine = tmp_path / GRID_FILE
    mine.write_text("my own notes")
    with pytest.raises(OverwriteError, match=r"holds a grid\.json that was not written with"):
        grid.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [GRID_FILE]
    grid.save(tmp_path, overwrite=True)
    assert SearchRecord.load(tmp_path) == SearchRecord.of(grid.to_dict())
