"""Jobs on a Ray cluster. The only importer of Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from importlib import import_module
from typing import Any

from circuits.errors import ExecutorError, LostWorkerError, cause
from circuits.runtime.executors import Wanted, check_installed
from circuits.runtime.threads import usable_cores

_TASK_OPTIONS = ("num_cpus", "num_gpus", "memory", "resources", "accelerator_type", "runtime_env")


class RayExecutor(Executor):
    """Every call is a task of the cluster; Ray itself tries none again.

    A cluster that this process is connected to already is used, and left as it is.
    """

    def __init__(self, wanted: Wanted) -> None:
        """Connect to a cluster, or begin one on this machine. Raises ExecutorError."""
        ray = _ray()
        own = {"num_cpus": wanted.threads or 1}
        task = own | {k: v for k, v in wanted.options.items() if k in _TASK_OPTIONS}
        start = {k: v for k, v in wanted.options.items() if k not in _TASK_OPTIONS}
        self._began = not ray.is_initialized()
        if self._began:
            try:
                ray.init(**{"log_to_driver": False, "include_dashboard": False, **start})
            except Exception as error:
                raise ExecutorError(
                    f"Ray cannot be started or reached ({cause(error)}): look at the options of "
                    "[ray], or run on processes"
                ) from error
        self._run = ray.remote(_call).options(max_retries=0, **task)
        self._references: dict[Future[Any], Any] = {}

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call on the cluster."""
        reference = self._run.remote(fn, args, kwargs)
        found: Future[Any] = Future()
        found.set_running_or_notify_cancel()
        self._references[found] = reference
        reference.future().add_done_callback(lambda done: self._pass_on(done, found))
        return found

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster; where it was begun here, end it."""
        ray = _ray()
        if not wait:
            for reference in self._references.values():
                ray.cancel(reference, force=True)
        if self._began:
            ray.shutdown()

    def _pass_on(self, done: Future[Any], found: Future[Any]) -> None:
        errors = import_module("ray.exceptions")
        self._references.pop(found, None)
        error: Any = done.exception()
        if error is None:
            found.set_result(done.result())
        elif isinstance(error, errors.RayTaskError):
            found.set_exception(error.cause or error)
        elif isinstance(error, errors.RayError):
            found.set_exception(LostWorkerError(f"a worker of Ray was lost ({cause(error)})"))
        else:
            found.set_exception(error)


def _ray() -> Any:
    """Ray itself, which need not be installed."""
    return import_module("ray")


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return fn(*args, **kwargs)


class _OnRay:
    name = "ray"
    description = "tasks of a Ray cluster, or of one that is begun on this machine"

    def usual_count(self) -> int:
        """The cores of the cluster that this process is connected to, or of this machine."""
        ray = _ray()
        if not ray.is_initialized():
            return usable_cores()
        return max(1, int(ray.cluster_resources().get("CPU", 1)))

    def check(self, options: Mapping[str, Any]) -> None:
        """Raise ExecutorError where Ray is not installed."""
        check_installed("ray", self.name)

    def open(self, wanted: Wanted) -> Executor:
        """A connection to the cluster."""
        return RayExecutor(wanted)


RAY = _OnRay()
