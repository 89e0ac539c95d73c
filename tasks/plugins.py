"""Tasks of other packages, found by their entry points.

A package that brings tasks says so in its pyproject.toml, with the class, or with a module that
registers classes when it is imported:

    [project.entry-points."accelerated_path_patching.tasks"]
    opposites = "my_package.tasks:Opposites"
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from tasks.base import Task
from tasks.pairs import TaskError

GROUP = "accelerated_path_patching.tasks"


class TaskPluginWarning(UserWarning):
    """A package's task cannot be used; the others can."""


@dataclass(frozen=True)
class BrokenPlugin:
    """An entry point that gave no task, and why."""

    name: str
    package: str
    reason: str

    def __str__(self) -> str:
        return (
            f"the task {self.name!r} of package {self.package} cannot be used ({self.reason}); "
            "update or remove that package"
        )


def load_plugins(register: Callable[[type[Task]], object]) -> tuple[BrokenPlugin, ...]:
    """Register the tasks of all installed packages; warn of those that cannot be, and return them.

    Warns:
        TaskPluginWarning: A package's code fails, or what it names is no task.

    """
    broken: list[BrokenPlugin] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            _load(entry, register)
        except Exception as error:
            # Code of others: whatever it raises must not take the rest along.
            package = entry.dist.name if entry.dist else "unknown"
            broken.append(BrokenPlugin(entry.name, package, _reason(error)))
            warnings.warn(str(broken[-1]), TaskPluginWarning, stacklevel=3)
    return tuple(broken)


def _load(entry: EntryPoint, register: Callable[[type[Task]], object]) -> None:
    found = entry.load()
    if isinstance(found, type) and issubclass(found, Task):
        register(found)
    elif not isinstance(found, ModuleType):
        raise TaskError(f"{entry.value} is neither a Task class nor a module")


def _reason(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0]
    return first if isinstance(error, TaskError) else f"{type(error).__name__}: {first}"
