"""Tasks by name: built in, registered, or of an installed package; or by where they are."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from typing import TypeVar

from tasks.base import Task
from tasks.pairs import TaskError
from tasks.plugins import BrokenPlugin, load_plugins
from tasks.sources import is_spec, open_task

_TASKS: dict[str, type[Task]] = {}

TaskType = TypeVar("TaskType", bound=type[Task])


def register_task(task_class: TaskType) -> TaskType:
    """Make a `Task` subclass known to `get_task` under its `name`; use as a class decorator.

    Raises:
        TaskError: The class has no name, or another class has it already.

    """
    name = getattr(task_class, "name", "")
    if not name:
        raise TaskError(f"{task_class.__name__} has no name; give the class a `name` attribute")
    known = _TASKS.get(name)
    # A notebook cell that is run again defines the same class anew; that is no clash.
    if known is not None and _path(known) != _path(task_class):
        raise TaskError(
            f"the task name {name!r} of {task_class.__name__} is taken by {known.__name__}; "
            f"choose a name other than {', '.join(_TASKS)}"
        )
    _TASKS[name] = task_class
    return task_class


def _path(task_class: type[Task]) -> tuple[str, str]:
    return task_class.__module__, task_class.__qualname__


def get_task(name: str | Task) -> Task:
    """Return the task of that name, or read it from where the name says.

    Args:
        name: A registered name, or one that an installed package brings; else a JSONL or CSV file,
            a saved dataset or one of the hub, as `tasks.sources` describes. A `Task` is returned
            as it is.

    Raises:
        TaskError: There is no such task, or it cannot be read.

    """
    if isinstance(name, Task):
        return name
    if name in _TASKS:
        return _TASKS[name]()
    broken = _plugins()
    if name in _TASKS:
        return _TASKS[name]()
    if is_spec(name):
        return open_task(name)
    for plugin in broken:
        if plugin.name == name:
            raise TaskError(str(plugin))
    close = get_close_matches(name, _TASKS, n=1)
    suggestion = f"; did you mean {close[0]!r}?" if close else ";"
    raise TaskError(
        f"unknown task {name!r}{suggestion} known tasks: {', '.join(_TASKS)}; or give a JSONL or "
        "CSV file of your own"
    )


def list_tasks() -> tuple[str, ...]:
    """Return the names of all tasks: built in, registered, and of installed packages."""
    _plugins()
    return tuple(_TASKS)


@cache
def _plugins() -> tuple[BrokenPlugin, ...]:
    """Load the tasks of installed packages, once."""
    return load_plugins(register_task)
