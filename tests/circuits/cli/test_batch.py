"""`circuits batch` on a tiny model, in processes of its own."""

from __future__ import annotations

import json

import pytest

from circuits.studies import BatchResult
from tests.circuits.cli.command_line import circuits, error_of

SETTINGS = 'method = "app", n_prompts = 3, n_mean_prompts = 4, threshold = 0.4, min_effect = 0.0'


@pytest.fixture
def file(tiny, tmp_path):
    path = tmp_path / "batch.toml"
    path.write_text(
        f'models = ["{tiny}"]\ntasks = ["ioi"]\nseeds = 2\n'
        f"methods = [{{{SETTINGS}, ignore_behaviour = true}}]\n"
    )
    return path


@pytest.mark.filterwarnings("ignore::circuits.behaviour.WeakTaskWarning")
def test_it_runs_saves_and_goes_on(file, tmp_path) -> None:
    out = tmp_path / "out"
    first = circuits("batch", file, "--out", out, "--workers", 1)
    assert first.exit_code == 0, first.output
    assert "Rows are in" in first.stdout
    assert "Running the batch" in first.stderr
    rows = BatchResult.load(out).rows
    assert [(row.seed, row.state) for row in rows] == [(0, "found"), (1, "found")]
    again = circuits("batch", file, "--out", out, "--resume", "--json")
    assert again.exit_code == 0, again.output
    assert [row["seconds"] for row in json.loads(again.stdout)["runs"]] == [
        row.seconds for row in rows
    ]


def test_failed_runs_are_an_error_and_rows_of_the_table(file, tmp_path) -> None:
    file.write_text(file.read_text().replace("seeds = 2", 'seeds = 1\ndevice = "nowhere"'))
    error = error_of("batch", file, "--out", tmp_path / "out", "--workers", 1, "--quiet", code=1)
    assert error.startswith("error: 1 of 1 runs failed, ")
    assert "ModelOptionError: device nowhere cannot be used here" in error
    (row,) = BatchResult.load(tmp_path / "out").rows
    assert row.state == "failed"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--executor", "slurn"), "unknown executor 'slurn'; did you mean 'slurm'?"),
        (("--workers", "0"), "count must be at least 1, got 0"),
        (("--resume",), "asked to resume a batch in "),
    ],
)
def test_misuse(file, tmp_path, more, words) -> None:
    assert words in error_of("batch", file, "--out", tmp_path / "out", *more, code=2)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there(tmp_path) -> None:
    error = error_of("batch", tmp_path / "none.toml", "--out", tmp_path / "out", code=1)
    assert "none.toml: No such file or directory" in error


def test_a_missing_extra_is_named_before_anything_is_made(file, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("circuits.runtime.executors.find_spec", lambda _: None)
    out = tmp_path / "out"
    error = error_of("batch", file, "--out", out, "--executor", "ray", code=1)
    assert "pip install 'accelerated-path-patching[ray]'" in error
    assert not out.exists()
