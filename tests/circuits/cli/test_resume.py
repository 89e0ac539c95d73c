"""Runs that are cut off, go on, and begin anew."""

import json
import os
import shutil
import signal

import pytest

from circuits import Discovery
from circuits.discovery.store import Store
from circuits.runtime.lock import LOCK_FILE, only_user
from tests.circuits.cli.command_line import FEW, LOW, circuits, error_of, wait_status

SPLIT = ("--memory-budget", "1")


@pytest.fixture(scope="module")
def command(tiny):
    return ("discover", "ioi", "--model", tiny, *FEW, *LOW, "--out")


@pytest.fixture(scope="module")
def finished(command, tmp_path_factory):
    """A run that was never cut off; leave it as it is."""
    directory = tmp_path_factory.mktemp("finished") / "run"
    assert circuits(*command, directory).exit_code == 0
    return directory


@pytest.fixture(scope="module")
def split(command, tmp_path_factory):
    """The same, prompt by prompt."""
    directory = tmp_path_factory.mktemp("split") / "run"
    assert circuits(*command, directory, *SPLIT).exit_code == 0
    return directory


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it, to go on with."""
    return shutil.copytree(finished, tmp_path / "run")


def interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("step", "count"), [("keep_pruned", 1), ("keep_estimates", 2), ("learn", 1), ("learn", 4)]
)
def test_killed_and_run_again_it_finds_the_same(command, split, tmp_path, monkeypatch, step, count):
    method, calls = getattr(Store, step), []

    def killed_after(*arguments):
        method(*arguments)
        calls.append(step)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)

    def cut_off():
        monkeypatch.setattr(Store, step, killed_after)
        circuits(*command, tmp_path / "cut", *SPLIT)

    status = wait_status(cut_off)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert {path.name for path in (tmp_path / "cut").iterdir()} == {"work", LOCK_FILE}
    assert circuits(*command, tmp_path / "cut", *SPLIT, "--resume").exit_code == 0
    whole, again = (run / "circuit.json" for run in (split, tmp_path / "cut"))
    assert again.read_bytes() == whole.read_bytes()
    assert len(Discovery.load(tmp_path / "cut").circuit) > 2


def test_nothing_known_is_measured_again(command, tmp_path):
    first, second = (
        json.loads(circuits(*command, tmp_path / "run", "--json").stdout) for _ in range(2)
    )
    assert second["circuit"] == first["circuit"]
    stages = [{s["stage"]: s["flops"] for s in run["cost"]["stages"]} for run in (first, second)]
    for stage in ("pruning", "patching"):
        assert stages[0][stage] > 0
        assert stages[1][stage] == 0


def test_another_threshold_goes_on_from_there(command, run):
    other = circuits(*command, run, "--threshold", "0.6", "--resume")
    assert other.exit_code == 0
    assert "begins anew" not in other.stderr


def test_resume_needs_a_begun_run(no_model, tmp_path):
    assert "add --out DIRECTORY" in error_of("discover", "ioi", "--resume", code=2)
    missing = error_of("discover", "ioi", "--resume", "--out", tmp_path / "none", code=2)
    assert f"{tmp_path / 'none'}, which is no directory: name" in missing
    assert "holds no begun run" in error_of("grid", "ioi", "--resume", "--out", tmp_path, code=2)
    assert not list(tmp_path.glob("none*"))


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (("--seed", "1"), "other prompts"),
        (("--metric", "prob_diff"), "another metric"),
        (("--engine", "reference"), "another engine"),
    ],
)
def test_another_run_is_neither_resumed_nor_replaced_unasked(command, run, options, difference):
    refused = error_of(*command, run, *options, "--resume", code=2)
    assert f"but it has {difference}" in refused
    assert f"{run} holds " in error_of(*command, run, *options, code=2)
    assert circuits(*command, run, "--resume").exit_code == 0, "nothing was lost"
    replaced = circuits(*command, run, *options, "--overwrite")
    assert replaced.exit_code == 0
    notes = [line for line in replaced.stderr.splitlines() if "begins anew" in line]
    assert len(notes) == 1
    assert difference in notes[0]
    assert circuits(*command, run, *options, "--resume").exit_code == 0


def test_another_model_and_task_are_named(command, run):
    other = ("discover", "induction", *command[2:], run, "--dtype", "float64")
    refused = error_of(*other, "--resume", code=2)
    assert "another task, other model weights or dtype, other prompts" in refused


def test_a_directory_that_another_run_is_at_work_in_is_refused(command, run):
    """With other prompts, its effects would be taken for those of the run that began it."""
    before = {path: path.read_bytes() for path in sorted(run.rglob("*.*"))}

    def refused():
        message = error_of(*command, run, "--seed", "1", code=1)
        assert f"another process is at work in {run}: wait until it has ended" in message

    with only_user(run):
        assert wait_status(refused) == 0
    assert {path: path.read_bytes() for path in sorted(run.rglob("*.*"))} == before


def test_interrupted_it_tells_how_to_go_on(command, tmp_path, monkeypatch):
    monkeypatch.setattr(Store, "keep_estimates", interrupt)
    result = circuits(*command, tmp_path / "run")
    assert result.exit_code == 130
    *_, note, last = result.stderr.splitlines()
    assert note.endswith("the same command again goes on from there")
    assert str(tmp_path / "run") in note
    assert last == "interrupted"


def test_interrupted_before_anything_was_kept_it_leaves_nothing(command, tmp_path, monkeypatch):
    monkeypatch.setattr("circuits.discovery.pipeline.measure_behaviour", interrupt)
    result = circuits(*command, tmp_path / "new" / "run")
    assert result.exit_code == 130
    assert "goes on" not in result.stderr
    assert not (tmp_path / "new").exists()


def test_the_plan_is_announced(tiny):
    result = circuits("discover", "ioi", "--model", tiny, *FEW)
    lines = [line for line in result.stderr.splitlines() if line.startswith("path patching among")]
    assert len(lines) == 1
    assert "4 prompts in 1 batch: about" in lines[0]
