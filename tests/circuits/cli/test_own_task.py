"""A task of one's own on the command line, and in a discovery."""

import json

import pytest

from circuits import Discovery
from circuits.model import load_tokenizer
from circuits.tasks import get_task, task_from_dataset, task_from_file
from tests.circuits.cli.command_line import FEW, LOW, circuits, error_of
from tests.circuits.conftest import toy_discovery

BAD = {"clean": "", "corrupted": "The cat", "correct": " x", "wrong": " y", "template": 0}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Twelve pairs of IOI as a file."""
    path = tmp_path_factory.mktemp("tasks") / "names.jsonl"
    exported = circuits("tasks", "export", "ioi", "--n-prompts", "12", "-o", path)
    assert exported.exit_code == 0
    assert f"12 prompt pairs of ioi were written to {path}" in exported.stderr
    return path


def spoiled(file, tmp_path):
    path = tmp_path / "names.jsonl"
    unusable = {**json.loads(file.read_text().splitlines()[0]), "correct": " two words"}
    lines = [*file.read_text().splitlines()[1:], json.dumps(BAD), json.dumps(unusable)]
    path.write_text("\n".join(lines))
    return path


def test_a_file_that_can_be_used(file, tiny):
    result = circuits("tasks", "check", file, "--model", tiny)
    assert result.exit_code == 0
    assert "can be used  12" in result.stdout
    assert "Problems" not in result.stdout
    assert "12 prompts, against the wrong answers" in result.stdout
    tried = circuits("tasks", file, "--model", tiny)
    assert "12 prompts, against the wrong answers" in tried.stdout
    assert "would mean little" in result.stderr


def test_a_file_that_cannot_be_used_whole(file, tiny, tmp_path):
    path, usable = spoiled(file, tmp_path), tmp_path / "usable.csv"
    result = circuits("tasks", "check", path, "--model", tiny, "--usable", usable, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["n_rows"], report["n_usable"]) == (13, 11)
    assert [problem["row"] for problem in report["problems"]] == [12, 13]
    assert report["problems"][0]["message"] == "column 'clean' is empty"
    assert report["behaviour"]["n_prompts"] == 11
    assert get_task(str(usable)).n_pairs == 11
    again = circuits("tasks", "check", usable, "--model", tiny, "--n-prompts", "4")
    assert again.exit_code == 0
    assert "4 prompts, against" in again.stdout
    shown = circuits("tasks", "check", path, "--model", tiny)
    assert shown.exit_code == 1
    assert "column 'clean' is empty" in shown.stdout


def test_a_file_of_which_nothing_can_be_used(tiny, tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(BAD))
    result = circuits("tasks", "check", path, "--model", tiny, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["behaviour"] is None


def test_prompts_of_one_template_that_differ_in_length(file, tiny, tmp_path):
    path = tmp_path / "names.jsonl"
    rows = [{**json.loads(line), "template": "all"} for line in file.read_text().splitlines()]
    path.write_text("\n".join(map(json.dumps, rows)))
    result = circuits("tasks", "check", path, "--model", tiny)
    assert "warning: prompts of one template differ in length (0)" in result.stderr


def test_what_is_wrong_is_told_before_a_model_is_loaded(file, no_model, tmp_path):
    path = spoiled(file, tmp_path)
    refused = error_of("discover", path, code=2)
    assert f"{path}: 1 of 13 rows cannot be used: row 12: column 'clean' is empty (" in refused
    assert "there is no file or directory none.csv" in error_of("discover", "none.csv", code=2)
    assert "behind the question mark" in error_of("grid", f"{file}?cleen=a", code=2)
    assert "there is no file" in error_of("tasks", "check", "none.csv", code=2)
    assert "neither JSONL nor CSV" in error_of("tasks", "export", "ioi", "-o", "a.txt", code=2)
    wrong = error_of("tasks", "check", file, "--usable", tmp_path / "a.txt", code=2)
    assert "neither JSONL nor CSV" in wrong
    nowhere = error_of("tasks", "check", file, "--usable", tmp_path / "none/a.csv", code=2)
    assert "--usable" in nowhere
    assert "at least 1" in error_of("tasks", "check", file, "--n-prompts", "0", code=2)
    assert "did you mean 'docstring'?" in error_of(
        "tasks", "export", "docstrin", "-o", "a.csv", code=2
    )


def test_rows_that_only_this_tokenizer_cannot_use(file, tiny, tmp_path):
    path = tmp_path / "names.jsonl"
    row = {**json.loads(file.read_text().splitlines()[0]), "correct": " two words"}
    path.write_text(json.dumps(row))
    refused = error_of("discover", path, "--model", tiny, *LOW, code=1)
    assert "names: 1 of 1 rows cannot be used: row 1: the answer ' two words' is not" in refused


def test_a_run_of_a_file_is_resumed_and_evaluated_on_the_same_rows(file, tiny, tmp_path):
    path, run = tmp_path / "names.jsonl", tmp_path / "run"
    path.write_text(file.read_text())
    command = ("discover", path, "--model", tiny, *FEW, *LOW)
    first = circuits(*command)
    assert first.exit_code == 0
    assert "for example --out runs/names" in first.stdout
    assert circuits(*command, "--out", run).exit_code == 0
    assert circuits(*command, "--out", run, "--resume").exit_code == 0
    found = Discovery.load(run)
    assert found.provenance.task == str(path)
    assert found.provenance.task_digest == task_from_file(path).digest
    options = ("--model", tiny, "--n-prompts", "4", "--resamples", "20")
    assert circuits("evaluate", run, *options).exit_code == 0
    moved = path.rename(tmp_path / "moved.jsonl")
    assert "there is no file" in error_of("evaluate", run, *options, code=1)
    assert circuits("evaluate", run, *options, "--task", moved).exit_code == 0
    lines = moved.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]))
    refused = error_of(*command, "--out", run, "--resume", code=2)
    assert "other contents of the task's file" in refused
    assert "has other rows than that had" in error_of("evaluate", run, *options, code=1)


def test_a_dataset_in_memory_is_a_task(toy):
    bridge, task = toy
    from circuits.model import tokenizer_of

    dataset = task.to_dataset(tokenizer_of(bridge), n=12)
    own = task_from_dataset(dataset, "mine")
    found = toy_discovery(bridge, own)
    assert found.provenance.task == "mine"
    same = toy_discovery(bridge, task_from_dataset(dataset, "mine"))
    assert same.circuit == found.circuit
    other = task_from_dataset(dataset.select(range(11)), "mine")
    with pytest.raises(ValueError, match="mine has other rows than that had"):
        found.evaluate(task=other)


def test_the_tokenizer_alone_writes_a_built_in_task(no_model, tmp_path):
    path = tmp_path / "pronouns.csv"
    exported = circuits("tasks", "export", "gendered-pronouns", "-o", path, "--n-prompts", "5")
    assert exported.exit_code == 0
    pairs = get_task(str(path)).all_pairs(load_tokenizer("smollm2-135m"))
    assert len(pairs) == 5
