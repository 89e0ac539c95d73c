"""Jobs handed out: in processes, lost ones again, failed ones told apart, all heard of."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from circuits.errors import (
    ExecutorError,
    InputError,
    LostWorkerError,
    SettingError,
    UnknownNameError,
)
from circuits.runtime.executors import EXECUTORS
from circuits.runtime.processes import PROCESSES, Processes
from circuits.runtime.progress import Progress
from circuits.runtime.registry import PluginWarning
from circuits.runtime.workers import Workers
from tests.circuits.runtime.jobs import (
    LosingKind,
    Square,
    device_of,
    die,
    refuse,
    threads_of,
    unpicklable,
    warn,
)

SQUARES = range(4)
LIGHT = {"threads": None}
"""Setting their number imports torch."""


@pytest.fixture
def jobs(tmp_path) -> dict[str, Square]:
    place = tmp_path / "begun"
    place.mkdir()
    return {str(number): Square(number, place) for number in SQUARES}


def results(found) -> dict[str, int]:
    return {one.name: one.value[0] for one in found}


def test_jobs_run_in_so_many_processes(jobs, tmp_path) -> None:
    found = [*Workers(count=2, **LIGHT).run(jobs, tmp_path)]
    assert results(found) == {str(number): number**2 for number in SQUARES}
    processes = {one.value[1] for one in found}
    assert len(processes) <= 2
    assert os.getpid() not in processes
    assert {one.attempts for one in found} == {1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun"]


def test_workers_put_models_where_they_are_told_to(tmp_path) -> None:
    devices = {
        device: next(iter(Workers(count=1, device=device).run({"a": device_of}, tmp_path)))
        for device in ("cpu", "nowhere")
    }
    assert devices["cpu"].value == "cpu"
    assert "device nowhere cannot be used here" in str(devices["nowhere"].error)


def test_every_job_has_so_many_threads(tmp_path) -> None:
    (found,) = Workers(count=1, threads=3).run({"a": threads_of}, tmp_path)
    assert found.value == 3


def test_any_executor_will_do_and_stays_open(jobs, tmp_path) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = [*Workers(pool, count=2).run(jobs, tmp_path)]
        assert results(found) == {str(number): number**2 for number in SQUARES}
        assert pool.submit(int, "7").result() == 7


def test_a_lost_worker_costs_its_own_job_one_more_attempt(jobs, tmp_path) -> None:
    heard = []
    jobs["3"] = Square(3, jobs["3"].directory, seconds=5)
    kind = LosingKind(PROCESSES, "begun/3-*")
    with EXECUTORS.with_entry(kind):
        workers = Workers("losing", count=2, **LIGHT)
        found = [*workers.run(jobs, tmp_path, Progress(notes=heard.append))]
    assert results(found) == {str(number): number**2 for number in SQUARES}
    (again,) = (one for one in found if one.attempts > 1)
    assert again.attempts == 2
    assert jobs[again.name].n_begun == 2
    (line,) = heard
    assert line.startswith(f"{again.name} is begun again: a process of this machine was ended by ")


def test_a_job_that_kills_its_workers_is_given_up_and_no_other(jobs, tmp_path) -> None:
    by_name = {
        one.name: one for one in Workers(count=1, **LIGHT).run({"bad": die, **jobs}, tmp_path)
    }
    bad = by_name.pop("bad")
    assert isinstance(bad.error, LostWorkerError)
    assert "the worker of bad was lost 3 times" in str(bad.error)
    assert "SIGKILL, perhaps for want of memory" in str(bad.error)
    assert bad.attempts == 3
    assert results(by_name.values()) == {str(number): number**2 for number in SQUARES}


def test_an_executor_that_is_broken_for_good_ends_the_study(jobs, tmp_path) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = [*Workers(pool, count=1, attempts=2).run({"bad": die, **jobs}, tmp_path)]
    assert len(found) == 5
    assert all(isinstance(one.error, LostWorkerError) for one in found)


def test_what_a_job_raises_is_its_own_and_is_not_tried_again(tmp_path) -> None:
    jobs = {"refused": refuse, "odd": unpicklable}
    found = {one.name: one for one in Workers(count=2, **LIGHT).run(jobs, tmp_path)}
    assert isinstance(found["refused"].error, InputError)
    with pytest.raises(InputError, match="not this one"):
        _ = found["refused"].value
    assert found["odd"].error is not None
    assert {one.attempts for one in found.values()} == {1}


def test_warnings_of_other_processes_are_given_here(tmp_path) -> None:
    with pytest.warns(PluginWarning, match="seed-0: of few") as caught:
        assert [one.error for one in Workers(count=1, **LIGHT).run({"seed-0": warn}, tmp_path)] == [
            None
        ]
    assert len(caught) == 1


def test_progress_is_that_of_all_jobs_and_of_their_parts(tmp_path) -> None:
    heard: list[float] = []
    jobs = {str(n): Square(n, tmp_path, seconds=1.5) for n in range(2)}
    progress = Progress(lambda _, part: heard.append(part), name="jobs")
    assert len([*Workers(count=2, **LIGHT).run(jobs, tmp_path, progress)]) == 2
    assert heard[-1] == 1.0
    assert {0.25, 0.5} & {*heard}, "half of one job, or of both"


def test_stopping_ends_the_processes_at_once(tmp_path) -> None:
    slow = {str(n): Square(n, tmp_path, seconds=600 * n) for n in range(3)}
    started = time.monotonic()
    going = Workers(count=2, **LIGHT).run(slow, tmp_path)
    next(going)
    going.close()
    assert time.monotonic() - started < 300
    assert not (tmp_path / ".progress").exists()


def test_what_is_raised_in_a_process_comes_back() -> None:
    with Processes(1) as executor, pytest.raises(ZeroDivisionError):
        executor.submit(divmod, 1, 0).result()


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"executor": "rai"}, UnknownNameError, "unknown executor 'rai'; did you mean 'ray'?"),
        ({"count": 0}, SettingError, "count must be at least 1, got 0"),
        ({"threads": 0}, SettingError, "threads must be at least 1, got 0"),
        ({"attempts": 0}, SettingError, "attempts must be at least 1, got 0"),
    ],
)
def test_what_is_refused(settings, error, words) -> None:
    with pytest.raises(error) as raised:
        Workers(**settings)
    assert words in str(raised.value)


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_extra_that_is_not_installed_is_named(
    name, package, monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("circuits.runtime.executors.find_spec", lambda _: None)
    with pytest.raises(ExecutorError) as raised:
        [*Workers(name).run({"a": refuse}, tmp_path)]
    assert str(raised.value) == (
        f"executor {name!r} needs {package}, which is not installed: "
        f"pip install 'accelerated-path-patching[{name}]', or run on processes"
    )


def test_processes_take_no_options(tmp_path) -> None:
    with pytest.raises(ExecutorError, match="processes take no options, got partition"):
        [*Workers(options={"partition": "gpu"}).run({"a": refuse}, tmp_path)]
