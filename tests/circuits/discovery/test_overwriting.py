"""What a directory holds is replaced where it is of the same question, or on request."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from circuits import Discovery, discover_circuit, discover_seeds
from circuits.discovery import Kept, Session
from circuits.discovery.overwriting import RUN_FILE, TENSOR_FILE
from circuits.discovery.record import SEARCH_FILES
from circuits.errors import InputError, OverwriteError
from circuits.studies.seed_record import SEEDS_FILE
from tests.circuits.prompts import ToyTask


@pytest.fixture
def run(found, tmp_path) -> Path:
    found.save(tmp_path / "run")
    return tmp_path / "run"


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def other(found: Discovery, difference: str) -> Discovery:
    config, source = found.config, found.provenance
    model = replace(source.model, name="other", weight_hash="0" * 32)
    return {
        "task": replace(found, provenance=replace(source, task="other")),
        "rows": replace(found, provenance=replace(source, task_digest="0" * 32)),
        "model": replace(found, provenance=replace(source, model=model)),
        "weights": replace(
            found, provenance=replace(source, model=replace(model, name=source.model.name))
        ),
        "metric": replace(found, config=replace(config, metric="prob_diff")),
        "seed": replace(found, config=replace(config, seed=7)),
        "prompts": replace(found, config=replace(config, n_prompts=5)),
        "templates": replace(found, config=replace(config, n_templates=1)),
    }[difference]


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ("task", "task toy, not other"),
        ("rows", "another task toy"),
        ("model", "model tiny-gemma3, not other"),
        ("weights", "another model tiny-gemma3"),
        ("metric", "metric logit_diff, not prob_diff"),
        ("seed", "seed 0, not 7"),
        ("prompts", "number of prompts 4, not 5"),
        ("templates", "number of templates None, not 1"),
    ],
)
def test_a_run_about_something_else_stays(found, run, difference, words) -> None:
    before, asked = contents(run), other(found, difference)
    with pytest.raises(OverwriteError, match=f"holds a {RUN_FILE} of {words}: name another"):
        asked.save(run)
    assert contents(run) == before
    asked.save(run, overwrite=True)
    assert Discovery.load(run).record == asked.record


def test_the_same_question_by_other_settings_replaces_a_run(found, run) -> None:
    changed = replace(found, config=replace(found.config, n_sampled_paths=1), performance=1.0)
    changed.save(run)
    assert Discovery.load(run).performance == 1.0


@pytest.mark.parametrize("content", ["mine", "[]", '{"name": "my own run"}', '{"files": {}}'])
def test_a_file_that_no_run_wrote_stays(found, tmp_path, content: str) -> None:
    (tmp_path / RUN_FILE).write_text(content)
    with pytest.raises(OverwriteError, match=f"holds a {RUN_FILE} that no run wrote"):
        found.save(tmp_path)
    assert contents(tmp_path) == {RUN_FILE: content.encode()}


def test_a_part_of_a_run_that_was_changed_stays(found, run) -> None:
    (run / TENSOR_FILE).write_bytes(b"mine")
    with pytest.raises(OverwriteError, match=f"{TENSOR_FILE} that was not written with a"):
        found.save(run)
    assert (run / TENSOR_FILE).read_bytes() == b"mine"


def test_a_run_whose_settings_cannot_be_read_stays(found, run) -> None:
    fields = json.loads((run / RUN_FILE).read_text())
    (run / RUN_FILE).write_text(json.dumps({**fields, "config": {"n_prompts": "many"}}))
    with pytest.raises(OverwriteError, match=f"a {RUN_FILE} that cannot be read"):
        found.save(run)


def test_it_is_refused_before_the_work(toy, found, run, monkeypatch) -> None:
    """And with it what would be written beside the run."""
    monkeypatch.setattr("circuits.discovery.pipeline.measure_behaviour", lambda *_: pytest.fail())
    before = contents(run)
    asked = {name: getattr(found.config, name) for name in ("n_prompts", "n_mean_prompts")}
    with pytest.raises(OverwriteError, match="of seed 0, not 1"):
        discover_circuit(*toy, method="app", directory=run, seed=1, **asked)
    assert contents(run) == before
    (run / SEARCH_FILES[0]).touch()
    with pytest.raises(OverwriteError, match=rf"holds a {SEARCH_FILES[0]}"):
        Session.of(*toy, found.config, Kept(run, SEARCH_FILES))


def test_effects_of_another_question_stay(toy, tmp_path) -> None:
    settings = {"method": "app", "n_prompts": 4, "n_mean_prompts": 4, "directory": tmp_path}
    settings["ignore_behaviour"] = True
    discover_circuit(*toy, **settings)
    before = contents(tmp_path / "work")
    with pytest.raises(OverwriteError, match=r"holds effects of other prompts"):
        discover_circuit(*toy, seed=1, **settings)
    assert contents(tmp_path / "work") == before
    discover_circuit(*toy, seed=1, overwrite=True, **settings)
    with pytest.raises(OverwriteError, match=r"holds effects of other prompts"):
        discover_circuit(*toy, **settings)


def test_a_study_of_another_task_or_a_file_of_ones_own_stays(toy, found, tmp_path) -> None:
    bridge, _ = toy
    config = replace(found.config, method="attribution", n_mean_prompts=4)
    study = discover_seeds(*toy, seeds=1, config=config)
    study.save(tmp_path)
    study.save(tmp_path)
    beside = contents(tmp_path)
    assert beside.keys() == {SEEDS_FILE, "inclusion.csv", "consensus.json"}
    for content in (b"my own seeds", b"{}"):
        (tmp_path / SEEDS_FILE).write_bytes(content)
        with pytest.raises(OverwriteError, match=f"a {SEEDS_FILE} that cannot be read"):
            discover_seeds(*toy, seeds=1, config=config, directory=tmp_path)
        with pytest.raises(OverwriteError, match=f"a {SEEDS_FILE} that cannot be read"):
            study.save(tmp_path)
        assert contents(tmp_path) == {**beside, SEEDS_FILE: content}
    study.save(tmp_path, overwrite=True)
    task = ToyTask(bridge)
    task.name = "other"
    with pytest.raises(OverwriteError, match=f"a {SEEDS_FILE} of task toy, not other"):
        discover_seeds(bridge, task, seeds=1, config=config, directory=tmp_path)


def test_a_directory_without_a_name_is_refused(toy) -> None:
    with pytest.raises(InputError, match="has no name"):
        discover_circuit(*toy, directory="")
