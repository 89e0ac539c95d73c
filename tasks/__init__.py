"""Contrastive prompt pairs for circuit discovery.

`get_task("ioi").sample(tokenizer, n=64, seed=0)` gives token ids, answers and templates;
`register_task` adds a task of one's own.
"""

from tasks.base import Task, Words
from tasks.pairs import PromptPair, PromptPairs, TaskError
from tasks.registry import get_task, list_tasks, register_task
from tasks.tokenization import Tokenizer

# Their order is the order of list_tasks().
from tasks.ioi import IOI  # isort: skip
from tasks.greater_than import GreaterThan  # isort: skip
from tasks.induction import Induction  # isort: skip
from tasks.docstring import Docstring  # isort: skip
from tasks.gendered_pronouns import GenderedPronouns  # isort: skip

__all__ = [
    "IOI",
    "Docstring",
    "GenderedPronouns",
    "GreaterThan",
    "Induction",
    "PromptPair",
    "PromptPairs",
    "Task",
    "TaskError",
    "Tokenizer",
    "Words",
    "get_task",
    "list_tasks",
    "register_task",
]
