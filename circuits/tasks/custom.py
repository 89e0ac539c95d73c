"""A task from a table of your own: a JSONL or CSV file, or a `datasets.Dataset`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, TypeVar

from circuits.errors import TaskError
from circuits.tasks.base import Task, Words
from circuits.tasks.doubts import doubts, uneven_templates
from circuits.tasks.rows import (
    Columns,
    NumberedPair,
    ParsedTable,
    RowProblem,
    RowsError,
    in_order,
    parse_table,
)
from circuits.tasks.tables import read_dataset, read_file
from circuits.tasks.text import PromptPair
from circuits.tasks.tokenization import EncodedPair, PairEncoder, Tokenizer, unknown_token

if TYPE_CHECKING:
    from datasets import Dataset

    from circuits.tasks.pairs import PromptPairs

Item = TypeVar("Item")
_CHECKED_WHOLE = 1000
"""Rows: to tokenize them takes about a second. Of larger tables only what is drawn is."""
_Read = EncodedPair | tuple[str, ...]
"""A row as tokens; or everything that is wrong with it."""


@dataclass(frozen=True)
class RowReport:
    """What a tokenizer makes of a table.

    Attributes:
        n_rows: All rows.
        usable: The pairs that can be used, in the order of their rows.
        problems: Everything that is wrong with the other rows, in their order.
        uneven_templates: Labels of templates whose prompts differ in length: means over their
            prompts mix positions that do not line up.
        doubts: What can be used and was probably not meant, in sentences; `sample` warns of it.

    >>> from datasets import Dataset
    >>> row = {"clean": "w1 w2 w1", "corrupted": "w3 w2 w1", "correct": " w2 w4", "wrong": " w3"}
    >>> report = task_from_dataset(Dataset.from_list([row])).check(tokenizer)
    >>> print(len(report.usable), "usable;", report.problems[0])
    0 usable; row 0: the answer ' w2 w4' is not exactly one token after 'w1 w2 w1': ...
    """

    n_rows: int
    usable: tuple[EncodedPair, ...]
    problems: tuple[RowProblem, ...]
    uneven_templates: tuple[int, ...]
    doubts: tuple[str, ...] = ()


class RowTask(Task):
    """A task whose pairs are the rows of a table.

    `sample` shuffles them by its seed. All rows must be usable with the tokenizer (of more than
    1,000, all that are drawn): a RowsError says which are not, and `check` gives those that are.

    >>> mine = task_from_dataset(task.to_dataset(tokenizer, n=4), name="mine")
    >>> mine.sample(tokenizer, n=3, seed=1).clean.shape
    torch.Size([3, 8])
    """

    def __init__(self, table: ParsedTable, name: str, spec: str = "") -> None:
        """Make a task of what was read; `spec` is what `get_task` finds it by."""
        self.name, self.spec, self.table = name, spec, table
        self.description = f"{len(table.pairs)} prompt pairs of one's own."
        self.source = spec
        self.n_variants = max(1, len({numbered.pair.template for numbered in table.pairs}))
        self.n_pairs = len(table.pairs)
        self.digest = table.digest
        self._read: tuple[Tokenizer, dict[int, _Read]] | None = None

    def draw(self, rng: Random, variant: int, words: Words) -> PromptPair:
        """Draw any row. Raises RowsError where none can be read."""
        if not self.table.pairs:
            raise RowsError(self.name, self.table.n_rows, self.table.problems)
        return rng.choice(self.table.pairs).pair

    def check(self, tokenizer: Tokenizer, n_tokens: int | None = None) -> RowReport:
        """Tokenize every row, and say which can be used and what is wrong with the others.

        Args:
            tokenizer: The model's.
            n_tokens: How many tokens the model has, where that is known: a tokenizer can have more.

        """
        usable: list[EncodedPair] = []
        problems = list(self.table.problems)
        for numbered, read in self._rows(tokenizer, self.table.pairs):
            if isinstance(read, EncodedPair) and (largest := read.largest) >= (n_tokens or inf):
                read = (f"has {unknown_token(largest, n_tokens or 0)}",)
            if isinstance(read, EncodedPair):
                usable.append(read)
            else:
                problems += [RowProblem(numbered.row, message) for message in read]
        return RowReport(
            self.table.n_rows,
            tuple(usable),
            in_order(problems),
            uneven_templates(usable),
            tuple(doubts(tokenizer, usable).values()),
        )

    def usable_pairs(
        self, tokenizer: Tokenizer, n: int, seed: int = 0, n_tokens: int | None = None
    ) -> PromptPairs:
        """At most `n` of the rows that can be used, shuffled. Raises RowsError where none can."""
        report = self.check(tokenizer, n_tokens)
        if not report.usable:
            raise RowsError(self.name, report.n_rows, report.problems)
        return self.batch(tokenizer, _shuffled(report.usable, seed)[:n], seed)

    def all_pairs(self, tokenizer: Tokenizer) -> PromptPairs:
        """Every row, in order. Raises RowsError where rows cannot be used."""
        return self.batch(tokenizer, self._usable(tokenizer, self.table.pairs))

    def encoded_pairs(
        self, tokenizer: Tokenizer, n: int, seed: int, n_templates: int | None = None
    ) -> Sequence[EncodedPair]:
        """Take `n` rows in an order that the seed decides, of all templates or some.

        Raises:
            TaskError: There are fewer, or (RowsError) some cannot be used with this tokenizer.

        """
        rows = self.table.pairs
        turns = self._turns(seed, n_templates)
        if self.table.has_templates:
            labels = sorted({numbered.pair.template for numbered in rows})
            chosen = {labels[turn] for turn in turns}
            rows = tuple(numbered for numbered in rows if numbered.pair.template in chosen)
        if n > len(rows):
            # Whether what there is can be used comes first.
            self._usable(tokenizer, rows)
            raise TaskError(
                f"task {self.name!r} was asked for {n} distinct pairs and has {len(rows)}; ask "
                "for fewer (--n-prompts), or add rows to it"
            )
        return self._usable(tokenizer, _shuffled(rows, seed)[:n])

    def _usable(
        self, tokenizer: Tokenizer, rows: Sequence[NumberedPair]
    ) -> tuple[EncodedPair, ...]:
        """Some rows, tokenized.

        Raises RowsError where they, or in a table that is not large any others, cannot be used.
        """
        is_large = len(self.table.pairs) > _CHECKED_WHOLE
        problems = list(self.table.problems)
        known: dict[int, EncodedPair] = {}
        for numbered, read in self._rows(tokenizer, rows if is_large else self.table.pairs):
            if isinstance(read, EncodedPair):
                known[numbered.row] = read
            else:
                problems += [RowProblem(numbered.row, message) for message in read]
        if problems:
            n_rows = len(rows) if is_large else self.table.n_rows
            raise RowsError(self.name, n_rows, in_order(problems))
        return tuple(known[numbered.row] for numbered in rows)

    def _rows(
        self, tokenizer: Tokenizer, rows: Sequence[NumberedPair]
    ) -> Iterator[tuple[NumberedPair, _Read]]:
        """What a tokenizer makes of some rows, each tokenized once."""
        if self._read is None or self._read[0] is not tokenizer:
            self._read = (tokenizer, {})
        encoder, known = PairEncoder(tokenizer, reuse_answers=False), self._read[1]
        for numbered in rows:
            if numbered.row not in known:
                known[numbered.row] = self._encode(encoder, numbered)
            yield numbered, known[numbered.row]

    def _encode(self, encoder: PairEncoder, numbered: NumberedPair) -> _Read:
        """Without a template column, pairs of equal length share a template."""
        try:
            encoded = encoder.encode(numbered.pair)
        except TaskError:
            return encoder.problems(numbered.pair)
        if self.table.has_templates:
            return encoded
        return replace(encoded, text=replace(encoded.text, template=len(encoded.clean)))


def _shuffled(items: Sequence[Item], seed: int) -> list[Item]:
    return Random(seed).sample(items, len(items))


def task_from_file(
    path: str | Path, columns: Columns | None = None, *, strict: bool = True, spec: str = ""
) -> RowTask:
    """Read a task from a JSONL or CSV file of prompts and answers (`tasks.rows`, `tasks.tables`).

    Args:
        path: Ends in .jsonl, .ndjson or .csv.
        columns: The names of its columns, where they are not the usual ones.
        strict: Refuse a file with rows that no tokenizer could use.
        spec: What `get_task` finds it by; the path without.

    Raises:
        TaskError: The file cannot be read, or (RowsError, with `strict`) rows of it cannot.

    >>> import json
    >>> row = {"clean": "w1 w2 w1", "corrupted": "w3 w2 w1", "correct": " w2", "wrong": " w3"}
    >>> _ = (directory / "mine.jsonl").write_text(json.dumps(row))
    >>> task_from_file(directory / "mine.jsonl").all_pairs(tokenizer).clean_text
    ('w1 w2 w1',)
    """
    path, columns = Path(path), columns or Columns()
    table = parse_table(read_file(path, columns), columns)
    return _task(table, path.stem, spec or str(path), strict)


def task_from_dataset(
    dataset: Dataset,
    name: str = "dataset",
    columns: Columns | None = None,
    *,
    strict: bool = True,
    spec: str = "",
) -> RowTask:
    """Make a task of a Hugging Face dataset's rows.

    Args:
        dataset: One split, in memory or on disk.
        name: The task's name.
        columns: The names of its columns, where they are not the usual ones.
        strict: Refuse a dataset with rows that no tokenizer could use.
        spec: What `get_task` finds it by. Without, a saved run of it does not find it again.

    Raises:
        TaskError: Rows cannot be used (RowsError, with `strict`).

    >>> task_from_dataset(task.to_dataset(tokenizer, n=4), name="mine").n_pairs
    4
    """
    columns = columns or Columns()
    return _task(parse_table(read_dataset(dataset, columns), columns), name, spec, strict)


def _task(table: ParsedTable, name: str, spec: str, strict: bool) -> RowTask:
    if strict and table.problems:
        raise RowsError(spec or name, table.n_rows, table.problems)
    return RowTask(table, name, spec)
