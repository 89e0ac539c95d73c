"""Batches on tiny models: rows, failures that stop nothing, and nothing that is run twice."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from math import nan

import pyarrow.parquet as pq
import pytest

from circuits import DiscoveryConfig, discover_circuit, load_model
from circuits.behaviour import Verdict
from circuits.discovery.kept import WORK_DIRECTORY
from circuits.discovery.pipeline import Pipeline
from circuits.discovery.store import EXACT_FILE
from circuits.errors import BusyError, FormatError, OverwriteError, ResumeError, SettingError
from circuits.runtime.executors import EXECUTORS
from circuits.runtime.lock import only_user
from circuits.runtime.processes import PROCESSES
from circuits.runtime.progress import Progress
from circuits.runtime.workers import Workers
from circuits.search import SelectionRule
from circuits.studies import Batch, BatchResult, BatchRow, run_batch
from circuits.studies.batch_job import row_of
from circuits.studies.batch_table import JOURNAL_FILE, SCHEMA, TABLE_FILE
from tests.circuits.runtime.jobs import LosingKind

pytestmark = pytest.mark.filterwarnings("ignore::circuits.behaviour.WeakTaskWarning")
APP = DiscoveryConfig(
    method="app",
    n_prompts=3,
    n_mean_prompts=4,
    n_sampled_paths=2,
    selection=SelectionRule(threshold=0.5, logits_threshold=0.5, min_effect=0.0),
    ignore_behaviour=True,
)
METHODS = {"app": APP, "pruned": APP.with_method("attribution")}
BEGUN = f"runs/*/*/app/seed-1/{WORK_DIRECTORY}/{EXACT_FILE}"


def figures(result: BatchResult) -> list[BatchRow]:
    """The rows but for what they cost."""
    cost = {"seconds": None, "flops": None, "peak_memory_bytes": None, "attempts": 0}
    return [replace(row, **cost) for row in result.rows]


def batch_of(model, **more) -> Batch:
    return Batch((str(model),), ("ioi", "greater-than"), METHODS, (0, 1), **more)


@pytest.fixture(scope="module")
def serial(tiny, tmp_path_factory) -> BatchResult:
    """All runs one after the other, in this process."""
    heard.clear()
    with ThreadPoolExecutor(1) as pool:
        return run_batch(
            batch_of(tiny),
            tmp_path_factory.mktemp("batches") / "serial",
            workers=Workers(pool, count=1),
            progress=Progress(lambda *step: heard.append(step)),
        )


heard: list[tuple[str, float]] = []


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as one:
        yield one


@pytest.fixture
def no_run(monkeypatch):
    monkeypatch.setattr(Pipeline, "__init__", lambda *_: pytest.fail("began a run"))


def test_every_combination_is_a_row_and_a_run(serial, tiny) -> None:
    assert serial.is_whole
    assert [(row.task, row.method, row.seed) for row in serial.rows] == [
        (task, method, seed)
        for task in ("ioi", "greater-than")
        for method in METHODS
        for seed in (0, 1)
    ]
    assert {row.state for row in serial.rows} == {"found"}
    alone = discover_circuit(load_model(tiny), "ioi", **{**vars(APP), "seed": 1})
    (row,) = (r for r in serial.rows if (r.task, r.method, r.seed) == ("ioi", "app", 1))
    assert row.performance == alone.performance
    assert row.heads == tuple(map(str, sorted(alone.circuit.heads)))
    assert row.n_edges == len(alone.circuit.edges) > 0
    assert serial.discovery(row).circuit == alone.circuit


def test_a_model_that_does_not_do_the_task_is_no_failure(serial, tiny) -> None:
    (asked, *_), found = batch_of(tiny).runs(), serial.discovery(serial.rows[0])
    row = row_of(asked, replace(found, performance=nan, verdict=Verdict("no circuit", "it cannot")))
    assert (row.state, row.performance, row.error) == ("no circuit", None, "it cannot")


def test_the_table_is_the_rows(serial) -> None:
    assert BatchResult.load(serial.directory) == serial
    table = pq.read_table(serial.directory / TABLE_FILE)
    assert table.num_rows == 8
    assert table["performance"].to_pylist()[0] == serial.rows[0].performance


def test_progress_is_that_of_all_runs(serial) -> None:
    parts = [part for stage, part in heard if stage == "runs"]
    assert parts == sorted(parts)
    assert (parts[0], parts[-1]) == (0.0, 1.0)


def test_what_is_done_is_not_run_again(serial, tiny, pool, no_run) -> None:
    again = run_batch(batch_of(tiny), serial.directory, workers=Workers(pool), resume=True)
    assert again == serial


def test_a_lost_worker_changes_no_row(serial, tiny, tmp_path) -> None:
    kind = LosingKind(PROCESSES, BEGUN)
    with EXECUTORS.with_entry(kind):
        found = run_batch(batch_of(tiny), tmp_path / "lost", workers=Workers("losing", count=2))
    assert kind.opened[0].marker.exists()
    assert max(row.attempts for row in found.rows) == 2
    assert figures(found) == figures(serial)


def test_a_run_that_fails_stops_no_other_and_is_tried_again(tiny, tmp_path, pool) -> None:
    batch = Batch((str(tiny),), ("ioi",), {"app": APP}, (0, 1))
    workers = Workers(pool, count=1)
    first = tmp_path / "runs" / batch.runs()[0].name
    with only_user(first):
        found = run_batch(batch, tmp_path, workers=workers)
    assert [row.state for row in found.rows] == ["failed", "found"]
    assert found.failed == found.rows[:1]
    assert found.failed[0].error.startswith("BusyError: another process is at work in ")
    assert not found.is_whole
    again = run_batch(batch, tmp_path, workers=workers)
    assert [row.state for row in again.rows] == ["found", "found"]
    assert again.rows[1] == found.rows[1]


def test_a_batch_may_grow_and_a_run_that_is_gone_is_run_again(tiny, tmp_path, pool) -> None:
    batch, workers = Batch((str(tiny),), ("ioi",), {"app": APP}, (0,)), Workers(pool, count=1)
    (first,) = run_batch(batch, tmp_path, workers=workers).rows
    more = replace(batch, seeds=(0, 1))
    ran = []
    progress = Progress(notes=lambda line: ran.append(line.partition(",")[0]))
    found = run_batch(more, tmp_path, workers=workers, progress=progress)
    assert found.rows[0] == first
    assert [name for name in ran if "seed-" in name] == [found.rows[1].name]
    shutil.rmtree(tmp_path / "runs" / first.name)
    again = run_batch(more, tmp_path, workers=workers)
    assert figures(again) == figures(found)
    assert (tmp_path / "runs" / first.name / "run.json").exists()


def test_rows_of_another_seed_dtype_or_setting_are_no_answer(serial) -> None:
    key = batch_of("smollm2-135m").runs()[0].key
    other = batch_of("smollm2-135m", dtype="float64").runs()[0].key
    by_setting = (
        replace(batch_of("smollm2-135m"), methods={"app": replace(APP, n_prompts=4)}).runs()[0].key
    )
    assert len({str(one) for one in (key, other, by_setting)}) == 3


def test_the_table_can_be_read_while_the_batch_runs(tiny, tmp_path, pool) -> None:
    seen = []

    def look(line: str) -> None:
        seen.append([row.state for row in BatchResult.load(tmp_path).rows])

    batch = Batch((str(tiny),), ("ioi",), {"app": APP}, (0, 1))
    run_batch(batch, tmp_path, workers=Workers(pool, count=1), progress=Progress(notes=look))
    assert ["found", "waiting"] in seen
    assert seen[-1] == ["found", "found"]


def test_one_batch_at_a_time_in_a_directory(tiny, tmp_path) -> None:
    place = tmp_path / "batch"
    with only_user(place), ThreadPoolExecutor(1) as other, pytest.raises(BusyError):
        other.submit(run_batch, batch_of(tiny), place).result()


@pytest.mark.parametrize("name", [TABLE_FILE, JOURNAL_FILE])
def test_files_of_others_are_left_alone(tiny, tmp_path, name) -> None:
    (tmp_path / name).write_text("mine\n")
    with pytest.raises(OverwriteError, match=f"holds a {name} that no batch wrote"):
        run_batch(batch_of(tiny), tmp_path)
    assert (tmp_path / name).read_text() == "mine\n"


def test_there_must_be_something_to_resume(tiny, tmp_path) -> None:
    with pytest.raises(ResumeError, match=r"asked to resume a batch in .*, which holds none"):
        run_batch(batch_of(tiny), tmp_path, resume=True)


def test_a_table_of_others_is_no_result(tmp_path) -> None:
    (tmp_path / TABLE_FILE).write_bytes(b"PAR1 and no more")
    with pytest.raises(FormatError, match="is damaged"):
        BatchResult.load(tmp_path)


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ({"models": ()}, "models must name at least one, got none"),
        ({"tasks": ("ioi", "ioi")}, "tasks has ioi twice: name each once"),
        ({"seeds": ()}, "seeds must be at least 1"),
        ({"models": ("a/b", "a-b")}, "runs has a-b/ioi/app/seed-0 twice"),
    ],
)
def test_what_is_refused(lists, words) -> None:
    given = {"models": ("smollm2-135m",), "tasks": ("ioi",), "methods": {"app": APP}} | lists
    with pytest.raises(SettingError) as raised:
        Batch(**given).runs()
    assert words in str(raised.value)


def test_a_name_never_leads_out_of_the_directory(tiny, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("clean,corrupted,correct,wrong\na b c,a d c, b, d\n")
    (one,) = Batch((str(tiny),), ("./rows.csv",), {"../..": APP}, (0,)).runs()
    assert one.name.split("/")[1:] == ["rows.csv", "-", "seed-0"]
    assert one.task == str(tmp_path / "rows.csv"), "workers have directories of their own"


def test_the_table_has_a_column_for_every_field_of_a_row() -> None:
    assert SCHEMA.names == [field.name for field in fields(BatchRow)]
