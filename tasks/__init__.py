"""Contrastive prompt pairs for circuit discovery.

`get_task("ioi").sample(tokenizer, n=64, seed=0)` gives token ids, answers and templates.
`get_task("mine.jsonl")` reads a task of one's own, `register_task` adds one in Python.
"""

from tasks.base import Task, Words
from tasks.custom import RowReport, RowTask, task_from_dataset, task_from_file
from tasks.pairs import PromptPair, PromptPairs, TaskError
from tasks.plugins import TaskPluginWarning
from tasks.registry import get_task, list_tasks, register_task
from tasks.rows import Columns, RowProblem, RowsError
from tasks.sources import open_task
from tasks.tokenization import Tokenizer

# Their order is the order of list_tasks().
from tasks.ioi import IOI  # isort: skip
from tasks.greater_than import GreaterThan  # isort: skip
from tasks.induction import Induction  # isort: skip
from tasks.docstring import Docstring  # isort: skip
from tasks.gendered_pronouns import GenderedPronouns  # isort: skip

__all__ = [
    "IOI",
    "Columns",
    "Docstring",
    "GenderedPronouns",
    "GreaterThan",
    "Induction",
    "PromptPair",
    "PromptPairs",
    "RowProblem",
    "RowReport",
    "RowTask",
    "RowsError",
    "Task",
    "TaskError",
    "TaskPluginWarning",
    "Tokenizer",
    "Words",
    "get_task",
    "list_tasks",
    "open_task",
    "register_task",
    "task_from_dataset",
    "task_from_file",
]
