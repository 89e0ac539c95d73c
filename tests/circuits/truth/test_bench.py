"""Rows of the benchmark: kept, gone on with, printed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from circuits.components import Head
from circuits.errors import OverwriteError
from circuits.runtime.progress import Progress
from circuits.runtime.workers import Workers
from circuits.truth import TruthRow, contestants, run_truth, truth_record
from circuits.truth import bench as bench_module
from tests.circuits.cli.command_line import circuits, error_of

SMALL = "compiled-induction"
FEW = [one for one in contestants() if one.method == "app"][:2]


@pytest.fixture
def ran(monkeypatch) -> list[str]:
    """The methods that ran, by name and seed; they find one true head of two, and a wrong one."""
    names: list[str] = []

    def run_of(truth, contestant, seed):
        names.append(f"{contestant.name} {seed}")
        return contestant

    def row_of(truth, method, run) -> TruthRow:
        first = min(truth.heads)
        wrong = Head(first.layer, 0)
        return TruthRow(
            model=truth.name,
            kind=truth.record.kind,
            method=method,
            precision=None if method.endswith("default") else 0.5,
            recall=0.5,
            auc=0.75,
            performance=50.0,
            true_performance=100.0,
            candidates=9,
            true_heads=truth.heads,
            found=frozenset({first, wrong}),
            paths=None,
            reasons=(f"{wrong} -> logits stood out",) if method == "app-exact" else (),
        )

    monkeypatch.setattr(bench_module, "run_of", run_of)
    monkeypatch.setattr(bench_module, "row_of", row_of)
    return names


@pytest.mark.parametrize("name", ["truth.json", "rows.jsonl"])
@pytest.mark.parametrize("content", ['{"my": "own"}\n', "mine"])
def test_files_of_ones_own_stay(tmp_path, name, content) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(OverwriteError, match=f"holds a {name} that no benchmark wrote"):
        run_truth([SMALL], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == content


def test_rows_are_json(ran, tmp_path) -> None:
    found = run_truth([SMALL], tmp_path)
    saved = json.loads((tmp_path / "truth.json").read_text())
    assert [row["method"] for row in saved] == [contestant.name for contestant in contestants()]
    assert {"model", "method", "precision", "recall", "auc"} <= saved[0].keys()
    assert saved[0]["true_heads"] == [str(head) for head in sorted(truth_record(SMALL).heads)]
    assert bench_module.from_json(saved) == found
    assert found[0].missed == {max(found[0].true_heads)}
    assert found[0].false == {Head(0, 0)}


def test_goes_on_where_it_was_cut_off(ran, tmp_path, monkeypatch) -> None:
    heard = []

    def cut_off(line):
        heard.append(line)
        if ran:
            raise KeyboardInterrupt

    done = []
    progress = Progress(lambda _, fraction: done.append(fraction), cut_off, name="truth")
    with pytest.raises(KeyboardInterrupt):
        run_truth([SMALL], tmp_path, methods=FEW, progress=progress)
    assert not (tmp_path / "truth.json").exists()
    assert ran == ["app-exact 0"]
    assert done == [0.0, 0.5]
    assert heard == [f"app-exact on {SMALL}", f"app-sweep on {SMALL}"]
    found = run_truth([SMALL], tmp_path, methods=FEW)
    assert ran == ["app-exact 0", "app-sweep 0"]
    assert run_truth([SMALL], tmp_path, methods=FEW) == found
    assert ran == ["app-exact 0", "app-sweep 0"]


def test_workers_measure_what_is_not_known(ran, tmp_path) -> None:
    alone = run_truth([SMALL], tmp_path / "alone", methods=FEW)
    run_truth([SMALL], tmp_path / "run", methods=FEW[:1])
    ran.clear()
    heard: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        rows = run_truth(
            [SMALL],
            tmp_path / "run",
            methods=FEW,
            workers=Workers(pool, count=1),
            progress=Progress(lambda _, part: heard.append(part), name="methods"),
        )
    assert rows == alone
    assert ran == [f"{FEW[1].name} 0"]
    assert heard[-1] == 1.0
    assert (tmp_path / "run" / "truth.json").is_file()


def test_processes_find_what_this_one_finds(tmp_path) -> None:
    exact = [one for one in contestants() if one.name == "path-patching-exact"]
    alone = run_truth([SMALL], tmp_path / "alone", methods=exact)
    there = run_truth([SMALL], tmp_path / "there", methods=exact, workers=Workers(count=1))
    assert there == alone


def test_other_seeds_and_weights_are_measured_anew(ran, tmp_path, monkeypatch) -> None:
    for seed in (0, 1, 0):
        run_truth([SMALL], tmp_path, methods=FEW[:1], seed=seed)
    assert ran == ["app-exact 0", "app-exact 1"]
    monkeypatch.setattr(bench_module, "truth_digest", lambda name, data: "other weights")
    run_truth([SMALL], tmp_path, methods=FEW[:1])
    assert ran == ["app-exact 0", "app-exact 1", "app-exact 0"]


def test_command(ran, tmp_path) -> None:
    result = circuits("bench", "truth", "--out", tmp_path, "--model", SMALL)
    assert result.exit_code == 0
    for contestant in contestants():
        assert f"{contestant.name} " in result.stdout
    assert "true heads 0.2 1.1" in result.stdout
    assert "app-exact: 0.0 -> logits stood out" in result.stdout
    assert "none" in result.stdout
    as_json = circuits("bench", "truth", "--out", tmp_path, "--model", SMALL, "--json")
    assert len(json.loads(as_json.stdout)) == len(contestants()) == len(ran)


def test_an_interrupted_command_tells_how_to_go_on(ran, tmp_path, monkeypatch) -> None:
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bench_module, "run_of", interrupt)
    result = circuits("bench", "truth", "--out", tmp_path, "--model", SMALL)
    assert result.exit_code == 130
    note, last = result.stderr.splitlines()[-2:]
    assert last == "interrupted"
    assert note == f"note: {tmp_path} keeps what is done; the same command again goes on from there"


def test_the_group_alone_is_no_command() -> None:
    assert "missing command" in error_of("bench", code=2)


def test_command_refuses_unknown_models(tmp_path) -> None:
    line = error_of("bench", "truth", "--out", tmp_path / "x", "--model", "hand", code=2)
    assert "unknown model with a known circuit 'hand'; did you mean 'hand-ioi'?" in line
    assert SMALL in line
    assert not (tmp_path / "x").exists()
