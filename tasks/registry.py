"""Tasks by name."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TypeVar

from tasks.base import Task
from tasks.pairs import TaskError

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
    """Return the task of that name; a `Task` is returned as it is.

    Raises:
        TaskError: No task of that name is registered.

    """
    if isinstance(name, Task):
        return name
    if name in _TASKS:
        return _TASKS[name]()
    close = get_close_matches(name, _TASKS, n=1)
    suggestion = f"; did you mean {close[0]!r}?" if close else ";"
    raise TaskError(f"unknown task {name!r}{suggestion} known tasks: {', '.join(_TASKS)}")


def list_tasks() -> tuple[str, ...]:
    """Return the names of all tasks, in the order in which they were registered."""
    return tuple(_TASKS)
