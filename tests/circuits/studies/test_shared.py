"""Grids, studies, single runs and evaluations that workers take part in."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from circuits import discover_circuit, load_model
from circuits.errors import SettingError
from circuits.evaluation import shared as evaluation
from circuits.patching import shared as patching
from circuits.runtime import sharing
from circuits.runtime.workers import Workers
from circuits.studies import discover_grid, discover_study
from tests.circuits.studies.test_batch import APP

pytestmark = pytest.mark.filterwarnings("ignore::circuits.behaviour.WeakTaskWarning")
CONFIG = replace(APP, n_prompts=6, n_mean_prompts=6)
GRID = {"thresholds": (0.3, 0.5, 0.8), "min_effects": (0.0, 0.002, 0.004), "keep": 60.0}


@pytest.fixture
def workers():
    with ThreadPoolExecutor(1) as pool:
        yield Workers(pool, count=2)


@pytest.fixture(scope="module")
def model(tiny):
    return load_model(tiny)


@pytest.fixture
def computed(monkeypatch) -> list[str]:
    """The kinds of parts that workers compute."""
    seen: list[str] = []
    call = sharing.PartJob.__call__

    def noted(job, progress):
        seen.append(type(job.part).__name__)
        return call(job, progress)

    monkeypatch.setattr(sharing.PartJob, "__call__", noted)
    return seen


def test_a_grid_finds_the_same_circuits(model, workers, computed, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(evaluation, "CIRCUITS_EACH", 1)
    alone = discover_grid(model, "ioi", config=CONFIG, **GRID)
    found = discover_grid(model, "ioi", config=CONFIG, directory=tmp_path, workers=workers, **GRID)
    assert [p.circuit.heads for p in found.points] == [p.circuit.heads for p in alone.points]
    assert [p.performance for p in found.points] == pytest.approx(
        [p.performance for p in alone.points], rel=1e-3
    )
    assert {*computed} == {"SweepPart", "MetricsPart"}
    assert computed.count("SweepPart") == 2
    assert found.cost.flops > 0.5 * alone.cost.flops, "what workers took is counted"


def test_a_sweep_that_was_cut_off_goes_on(model, workers, computed, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(patching, "PROMPTS_EACH", 2)
    whole = patching.SweepPart.__call__

    def twice(part, progress):
        if len(computed) > 2:
            raise KeyboardInterrupt
        return whole(part, progress)

    given = {"config": CONFIG, "directory": tmp_path, "workers": workers, **GRID}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(patching.SweepPart, "__call__", twice)
        discover_grid(model, "ioi", **given)
    kept = [*(tmp_path / "work" / "parts").iterdir()]
    assert kept
    computed.clear()
    found = discover_grid(model, "ioi", **given)
    assert computed.count("SweepPart") == 3 - len(kept)
    assert found.points


def test_a_study_sweeps_in_parts(model, workers, computed, tmp_path) -> None:
    given = {"config": CONFIG, "n_trials": 3, "keep": 60.0}
    alone = discover_study(model, "ioi", **given)
    found = discover_study(model, "ioi", **given, directory=tmp_path, workers=workers)
    assert found.found.circuit.heads == alone.found.circuit.heads
    assert "SweepPart" in computed


def test_a_run_and_its_evaluation_in_other_processes(model, computed, tmp_path) -> None:
    settings = {**vars(CONFIG), "method": "app"}
    alone = discover_circuit(model, "ioi", **settings)
    workers = Workers(count=2)
    found = discover_circuit(model, "ioi", **settings, directory=tmp_path, workers=workers)
    assert found.circuit.heads == alone.circuit.heads
    mine = found.evaluate(model, workers=workers, directory=tmp_path)
    theirs = found.evaluate(model)
    assert [mine.completeness.value, *(one.value for one in mine.minimality.values())] == (
        pytest.approx(
            [theirs.completeness.value, *(one.value for one in theirs.minimality.values())],
            rel=1e-3,
            abs=1e-3,
        )
    )


def test_workers_need_a_directory(model, workers) -> None:
    for search in (discover_grid, discover_study, discover_circuit):
        with pytest.raises(SettingError, match="give a directory"):
            search(model, "ioi", workers=workers)


def test_parts_are_no_part_of_what_is_saved(model, workers, tmp_path) -> None:
    grid = discover_grid(model, "ioi", config=CONFIG, directory=tmp_path, workers=workers, **GRID)
    grid.save(tmp_path)
    saved = json.loads((tmp_path / "grid.json").read_text())
    assert len(saved["points"]) == 9
