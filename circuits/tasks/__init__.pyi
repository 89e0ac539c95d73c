from .base import Task, Words
from .custom import RowReport, RowTask, task_from_dataset, task_from_file
from .docstring import Docstring
from .doubts import PromptWarning
from .gendered_pronouns import GenderedPronouns
from .greater_than import GreaterThan
from .induction import Induction
from .ioi import IOI
from .pairs import PromptPairs
from .registry import get_task, list_tasks, register_task
from .rows import Columns, RowProblem, RowsError
from .sources import open_task
from .spans import Spans
from .text import Piece, PromptPair
from .tokenization import Tokenizer

__all__ = [
    "IOI",
    "Columns",
    "Docstring",
    "GenderedPronouns",
    "GreaterThan",
    "Induction",
    "Piece",
    "PromptPair",
    "PromptPairs",
    "PromptWarning",
    "RowProblem",
    "RowReport",
    "RowTask",
    "RowsError",
    "Spans",
    "Task",
    "Tokenizer",
    "Words",
    "get_task",
    "list_tasks",
    "open_task",
    "register_task",
    "task_from_dataset",
    "task_from_file",
]
