"""Where jobs can be run, by name. Each makes a `concurrent.futures.Executor`."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from circuits.errors import ExecutorError
from circuits.runtime.registry import Registry


@dataclass(frozen=True)
class Wanted:
    """What an executor is asked for.

    Attributes:
        count: How many workers.
        threads: Threads of each, so many cores are asked for; None leaves it to them.
        directory: Where it may keep files of its own; all workers see it.
        options: Of this kind of executor alone.

    >>> Wanted(count=2, threads=1, directory=directory).options
    {}
    """

    count: int
    threads: int | None
    directory: Path
    options: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class ExecutorKind(Protocol):
    """One way to run jobs.

    Attributes:
        name: What `--executor` calls it.
        description: Where the jobs run, in a few words.

    >>> from circuits.runtime.executors import EXECUTORS
    >>> kind = EXECUTORS.get("processes")
    >>> kind.name, kind.usual_count() >= 1
    ('processes', True)
    """

    name: str
    description: str

    def usual_count(self) -> int:
        """How many workers there are where none are asked for."""
        ...

    def check(self, options: Mapping[str, Any]) -> None:
        """Raise ExecutorError where it cannot be used here, or takes no such options."""
        ...

    def open(self, wanted: Wanted) -> Executor:
        """An executor whose futures raise BrokenExecutor where a worker is lost.

        It is shut down by whoever opened it. Raises ExecutorError where it cannot be had.
        """
        ...


def _flaw(entry: Any) -> str | None:
    return None if isinstance(entry, ExecutorKind) else "it must be an ExecutorKind"


EXECUTORS: Registry[ExecutorKind] = Registry(
    "executor",
    {
        "processes": "circuits.runtime.processes:PROCESSES",
        "ray": "circuits.runtime.on_ray:RAY",
        "slurm": "circuits.runtime.on_slurm:SLURM",
    },
    _flaw,
)
"""Every place that jobs can be run in."""


def check_installed(package: str, extra: str) -> None:
    """Raise ExecutorError where an optional package is missing.

    >>> check_installed("json", "slurm")
    """
    if find_spec(package) is None:
        raise ExecutorError(
            f"executor {extra!r} needs {package}, which is not installed: "
            f"pip install 'accelerated-path-patching[{extra}]', or run on processes"
        )
