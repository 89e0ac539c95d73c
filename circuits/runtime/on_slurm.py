"""Jobs of Slurm, by submitit. The only importer of submitit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from importlib import import_module
from typing import Any

from circuits.errors import ExecutorError, LostWorkerError, cause
from circuits.runtime.executors import Wanted, check_installed

_FOLDER = "slurm"
_SECONDS_BETWEEN = 1.0
_USUAL_COUNT = 16
_CLUSTER = "cluster"


class SlurmExecutor(Executor):
    """Every call is a job of its own, asked after once in a second.

    Its files and logs are in `slurm`, in the directory of the study. What is read there is run, as
    submitit does it: whoever can write there can run code.
    """

    def __init__(self, wanted: Wanted) -> None:
        """Ask for what each job needs. Raises ExecutorError."""
        submitit: Any = import_module("submitit")
        parameters = dict(wanted.options)
        cluster = parameters.pop(_CLUSTER, "slurm")
        parameters = {"cpus_per_task": wanted.threads or 1, **parameters}
        try:
            self._executor = submitit.AutoExecutor(wanted.directory / _FOLDER, cluster)
            self._executor.update_parameters(**parameters)
        except Exception as error:
            raise ExecutorError(
                f"Slurm cannot be used ({cause(error)}): look at the options of [slurm], or run on "
                "processes"
            ) from error
        self._running: dict[Future[Any], Any] = {}
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._watched, daemon=True)
        self._watch.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand a call to Slurm. Raises ExecutorError where it takes none."""
        found: Future[Any] = Future()
        found.set_running_or_notify_cancel()
        try:
            self._running[found] = self._executor.submit(fn, *args, **kwargs)
        except Exception as error:
            raise ExecutorError(f"Slurm takes no job ({cause(error)})") from error
        return found

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop asking; without `wait` cancel what runs."""
        self._ended.set()
        self._watch.join()
        if not wait:
            for job in self._running.values():
                job.cancel()

    def _watched(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN):
            for found, job in list(self._running.items()):
                if job.done():
                    del self._running[found]
                    _pass_on(job, found)


def _pass_on(job: Any, found: Future[Any]) -> None:
    errors: Any = import_module("submitit.core.utils")
    try:
        found.set_result(job.result())
    except errors.FailedJobError as error:
        found.set_exception(ExecutorError(f"job {job.job_id} failed: {_last_line(error)}"))
    except errors.UncompletedJobError as error:
        found.set_exception(LostWorkerError(f"job {job.job_id} was lost ({cause(error)})"))
    except Exception as error:
        found.set_exception(error)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" -")]
    return lines[-1] if lines else type(error).__name__


class _OnSlurm:
    name = "slurm"
    description = "jobs of Slurm, by submitit"

    def usual_count(self) -> int:
        """How many jobs are handed over at a time."""
        return _USUAL_COUNT

    def check(self, options: Mapping[str, Any]) -> None:
        """Raise ExecutorError where submitit is not installed."""
        check_installed("submitit", self.name)

    def open(self, wanted: Wanted) -> Executor:
        """Slurm, or with `cluster = "local"` processes as submitit runs them."""
        return SlurmExecutor(wanted)


SLURM = _OnSlurm()
