"""What is given on the command line and is empty is told, and stands for nothing else."""

import pytest

from tests.circuits.cli.command_line import FEW, error_of


@pytest.mark.parametrize(
    "command",
    [
        ("discover", "ioi", *FEW),
        ("seeds", "ioi"),
        ("tasks", "ioi"),
        ("tasks", "check", "{file}"),
        ("tasks", "export", "ioi", "--out", "{out}"),
        ("evaluate", "{run}"),
        ("roles", "{run}"),
    ],
)
def test_an_empty_name_of_a_model_runs_no_other(command, shared_run, tmp_path, no_model):
    file = tmp_path / "mine.jsonl"
    file.write_text('{"clean": "a b", "corrupted": "c b", "correct": " d", "wrong": " e"}')
    places = {"file": file, "run": shared_run, "out": tmp_path / "out.jsonl"}
    said = error_of(*(part.format(**places) for part in command), "--model", "", code=2)
    assert "--model was given nothing" in said


def test_an_empty_name_of_a_task_is_no_other(shared_run, no_model):
    assert "--task was given nothing" in error_of("roles", shared_run, "--task", "", code=2)
