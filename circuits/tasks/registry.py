"""Tasks by name: built in, registered, or of an installed package; or by where they are.

A package that brings tasks says so in its pyproject.toml, with the class, or with a module that
registers classes when it is imported:

    [project.entry-points."accelerated_path_patching.tasks"]
    opposites = "my_package.tasks:Opposites"
"""

from __future__ import annotations

from typing import TypeVar

from circuits.errors import TaskError
from circuits.runtime.registry import Registry
from circuits.tasks.base import Task
from circuits.tasks.sources import is_spec, open_task

TaskType = TypeVar("TaskType", bound=type[Task])


def _flaw(entry: object) -> str | None:
    is_task = isinstance(entry, type) and issubclass(entry, Task)
    return None if is_task else "it must be a subclass of Task"


TASKS: Registry[type[Task]] = Registry(
    "task",
    {
        "ioi": "circuits.tasks.ioi:IOI",
        "greater-than": "circuits.tasks.greater_than:GreaterThan",
        "induction": "circuits.tasks.induction:Induction",
        "docstring": "circuits.tasks.docstring:Docstring",
        "gendered-pronouns": "circuits.tasks.gendered_pronouns:GenderedPronouns",
    },
    _flaw,
    advice="; or give a JSONL or CSV file of your own",
    error=TaskError,
)
"""Every task that has a name."""


def register_task(task_class: TaskType) -> TaskType:
    """Make a `Task` subclass known to `get_task` under its `name`; use as a class decorator.

    Raises:
        TaskError: It is no subclass of `Task`, it has no name, or another class has it already.

    >>> from circuits.tasks import IOI
    >>> @register_task
    ... class ShopIOI(IOI):
    ...     name, word_lists = "shop-ioi", IOI.word_lists | {"place": ("store", "market")}
    >>> get_task("shop-ioi").example().clean
    'When ... went to the ...'
    """
    TASKS.register(task_class)
    return task_class


def get_task(name: str | Task) -> Task:
    """Return the task of that name, or read it from where the name says.

    Args:
        name: A registered name, or one that an installed package brings; else a JSONL or CSV file,
            a saved dataset or one of the hub, as `tasks.sources` describes. A `Task` is returned
            as it is.

    Raises:
        TaskError: There is no such task, or it cannot be read.

    >>> get_task("ioi").description
    'Name the person who receives something: the one of two names not repeated.'
    """
    if isinstance(name, Task):
        return name
    return open_task(name) if name not in TASKS and is_spec(name) else TASKS.get(name)()


def list_tasks() -> tuple[str, ...]:
    """Return the names of all tasks: built in, registered, and of installed packages.

    >>> list_tasks()[:5]
    ('ioi', 'greater-than', 'induction', 'docstring', 'gendered-pronouns')
    """
    return TASKS.names()
