"""Jobs handed out to workers, wherever these are: lost ones again, all heard of as they go.

A job is a function of a `Progress`. It pickles, and its result follows from it alone, so that any
worker may run it, and twice.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from circuits.errors import LostWorkerError, SettingError, cause
from circuits.runtime.calls import Call, Returned, read_report
from circuits.runtime.executors import EXECUTORS, Wanted
from circuits.runtime.progress import SILENT, Progress
from circuits.runtime.settings import Checked, setting

_PROGRESS = ".progress"
_SECONDS_BETWEEN = 1.0
Result = TypeVar("Result")
Job = Callable[[Progress], Result]


@dataclass(frozen=True)
class Finished(Generic[Result]):
    """How a job ended.

    Attributes:
        name: The job's.
        result: What it returned; None where it failed.
        error: Why it failed: what it raised, or LostWorkerError; None where it did not.
        attempts: How often it was begun.

    >>> Finished("seed-0", result=7, error=None, attempts=1).value
    7
    """

    name: str
    result: Result | None
    error: Exception | None
    attempts: int

    @property
    def value(self) -> Any:
        """The result. Raises the error where there is one."""
        if self.error is not None:
            raise self.error
        return self.result


@dataclass(frozen=True)
class Workers(Checked):
    """Who runs the jobs of a study.

    Attributes:
        executor: A name of `EXECUTORS`, or any `concurrent.futures.Executor`, which stays open.
        count: How many jobs run at a time; None for as many as the executor usually has.
        threads: Threads of each worker; None leaves it to them. Their number can change the last
            digits of a result; that of the workers cannot.
        attempts: How often a job is begun whose worker is lost.
        device: Where workers in other processes put models, as `load_model` takes it; None: a GPU
            where they have one.
        options: Of the executor: for "slurm" what submitit's `update_parameters` takes, and
            `cluster`; for "ray" what `ray.init` and the options of a task take.

    Raises:
        SettingError, UnknownNameError: There is no such executor, or a number is out of range.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as pool:
    ...     ended = Workers(pool).run({"seven": lambda progress: 7}, directory)
    ...     [(one.name, one.value) for one in ended]
    [('seven', 7)]
    >>> Workers("proceses")
    Traceback (most recent call last):
    circuits.errors.UnknownNameError: unknown executor 'proceses'; did you mean 'processes'? ...
    """

    executor: str | Executor = "processes"
    count: int | None = setting(None, "How many jobs run at a time.", least=1)
    threads: int | None = setting(1, "Threads of each worker.", least=1)
    attempts: int = setting(3, "How often a job is begun whose worker is lost.", least=1)
    device: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.executor, str):
            EXECUTORS.check(self.executor)

    def check(self) -> None:
        """Raise ExecutorError where the executor cannot be used here."""
        if isinstance(self.executor, str):
            EXECUTORS.get(self.executor).check(self.options)

    def run(
        self, jobs: Mapping[str, Job[Result]], directory: Path, progress: Progress = SILENT
    ) -> Iterator[Finished[Result]]:
        """Yield every job as it ends, in any order.

        Warnings of this package that jobs in other processes give are given here, with the job's
        name.

        Args:
            jobs: By name.
            directory: Where workers say how far they are; all of them see it.
            progress: Hears of all jobs together, whole or in part.

        Raises:
            ExecutorError: The executor cannot be used.

        """
        self.check()
        if not jobs:
            return
        with _reports(directory) as reports, self._opened(directory) as (executor, count):
            run = _Run(jobs, executor, count, self, reports, progress)
            yield from run.finished()

    @contextmanager
    def staying(self, directory: Path) -> Iterator[Workers]:
        """The same workers for several runs, started once, while the `with` runs.

        Raises ExecutorError as `run` does.
        """
        self.check()
        with self._opened(directory) as (executor, count):
            yield replace(self, executor=executor, count=count)

    @contextmanager
    def _opened(self, directory: Path) -> Iterator[tuple[Executor, int]]:
        if not isinstance(self.executor, str):
            yield self.executor, self.count or EXECUTORS.get("processes").usual_count()
            return
        kind = EXECUTORS.get(self.executor)
        count = self.count or kind.usual_count()
        executor = kind.open(Wanted(count, self.threads, directory, self.options))
        try:
            yield executor, count
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
        executor.shutdown()


def check_workers(workers: Workers | None, directory: str | Path | None) -> None:
    """Raise SettingError where workers have nowhere to save, ExecutorError where there are none.

    >>> check_workers(Workers(), "runs/ioi"), check_workers(None, None)
    (None, None)
    >>> check_workers(Workers(), None)
    Traceback (most recent call last):
    circuits.errors.SettingError: workers save what they find: give a directory (--out), got none
    """
    if workers is not None and directory is None:
        raise SettingError("workers save what they find: give a directory (--out), got none")
    if workers is not None:
        workers.check()


@dataclass(eq=False)
class _Run(Generic[Result]):
    """Jobs on their way through an executor."""

    jobs: Mapping[str, Job[Result]]
    executor: Executor
    count: int
    workers: Workers
    reports: Path
    progress: Progress
    begun: Counter[str] = field(default_factory=Counter)
    running: dict[Future[Returned], str] = field(default_factory=dict)
    n_ended: int = 0

    def __post_init__(self) -> None:
        self.waiting = deque(self.jobs)
        self.numbers = {name: number for number, name in enumerate(self.jobs)}

    def finished(self) -> Iterator[Finished[Result]]:
        """Hand out as many as there are workers, and more as they end."""
        try:
            while self.waiting or self.running:
                while self.waiting and len(self.running) < self.count:
                    self._begin(self.waiting.popleft())
                ended, _ = wait(self.running, _SECONDS_BETWEEN, FIRST_COMPLETED)
                for future in ended:
                    done = self._ended(self.running.pop(future), future)
                    if done is not None:
                        self.n_ended += 1
                        self._tell()
                        yield done
                self._tell()
        finally:
            for future in self.running:
                future.cancel()

    def _begin(self, name: str) -> None:
        self.begun[name] += 1
        asked = self.workers
        call = Call(self.jobs[name], self._report(name), asked.threads, asked.device, os.getpid())
        try:
            future = self.executor.submit(call)
        except BrokenExecutor as error:
            future = Future()
            future.set_exception(error)
        self.running[future] = name

    def _ended(self, name: str, future: Future[Returned]) -> Finished[Result] | None:
        """What came of it; None where it is to be begun again."""
        n_begun = self.begun[name]
        try:
            returned = future.result()
        except (BrokenExecutor, CancelledError) as error:
            if n_begun < self.workers.attempts:
                self.progress.note(f"{name} is begun again: {cause(error)}")
                self.waiting.append(name)
                return None
            lost = LostWorkerError(
                f"the worker of {name} was lost {n_begun} times, the last time because "
                f"{cause(error)}: run it where there is more memory or time, or fewer at once"
            )
            return Finished(name, None, lost, n_begun)
        except Exception as error:
            # The executor's own: it cannot send the job, or what came back.
            return Finished(name, None, error, n_begun)
        for category, message in returned.warnings:
            warnings.warn(f"{name}: {message}", category, stacklevel=4)
        return Finished(name, returned.result, returned.error, n_begun)

    def _tell(self) -> None:
        parts = sum(read_report(self._report(name)) for name in self.running.values())
        self.progress((self.n_ended + parts) / len(self.jobs))

    def _report(self, name: str) -> Path:
        return self.reports / str(self.numbers[name])


@contextmanager
def _reports(directory: Path) -> Iterator[Path]:
    """An empty directory for them; what an earlier study left goes."""
    place = directory / _PROGRESS
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
