"""Contrastive prompt pairs: IOI, greater-than, induction, docstring, gendered pronouns, your own.

`get_task("ioi").sample(tokenizer, n=64, seed=0)` gives token ids, answers and templates.
`get_task("mine.jsonl")` reads a task of your own, `register_task` adds one in Python.

This is the public name of `circuits.tasks`, where the code is: `circuits` itself imports that, so
that a `tasks.py` of your own beside your script hides this package and breaks nothing.
"""

from circuits.errors import TaskError
from circuits.runtime.registry import PluginWarning
from circuits.tasks import (
    IOI,
    Columns,
    Docstring,
    GenderedPronouns,
    GreaterThan,
    Induction,
    Piece,
    PromptPair,
    PromptPairs,
    PromptWarning,
    RowProblem,
    RowReport,
    RowsError,
    RowTask,
    Spans,
    Task,
    Tokenizer,
    Words,
    get_task,
    list_tasks,
    open_task,
    register_task,
    task_from_dataset,
    task_from_file,
)

__all__ = [
    "IOI",
    "Columns",
    "Docstring",
    "GenderedPronouns",
    "GreaterThan",
    "Induction",
    "Piece",
    "PluginWarning",
    "PromptPair",
    "PromptPairs",
    "PromptWarning",
    "RowProblem",
    "RowReport",
    "RowTask",
    "RowsError",
    "Spans",
    "Task",
    "TaskError",
    "Tokenizer",
    "Words",
    "get_task",
    "list_tasks",
    "open_task",
    "register_task",
    "task_from_dataset",
    "task_from_file",
]
