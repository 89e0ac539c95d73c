"""Rows of a table as prompt pairs, and everything that is wrong with them, row by row.

A table has the columns `clean`, `corrupted`, `correct` and `wrong`, `template` and `pieces` where
it likes; a column of another name is mapped by `Columns`. An answer column holds one answer as
text, or several as a list of texts. Answers carry their leading space, as the model would write it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from xxhash import xxh3_128_hexdigest

from circuits.errors import TaskError, quoted, quoted_list
from circuits.tasks.spans import piece_cells, read_pieces
from circuits.tasks.text import PromptPair

_PROMPTS, _ANSWERS = ("clean", "corrupted"), ("correct", "wrong")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class Columns:
    """Which column of a table holds what.

    Attributes:
        clean: The prompts that let a model do the task.
        corrupted: The prompts of the same shape that have lost the information.
        correct: The right answers: a text, or a list of texts.
        wrong: The answers that they are compared with: a text, or a list of texts.
        template: Label of the pairs whose positions line up, a number or a text; the column may be
            missing, and pairs of equal length in tokens then share a template.
        pieces: Parts of the clean prompt that have names, for edges at spans of positions; the
            column may be missing.

    >>> Columns(clean="prompt", wrong="foil").changed
    {'clean': 'prompt', 'wrong': 'foil'}
    """

    clean: str = "clean"
    corrupted: str = "corrupted"
    correct: str = "correct"
    wrong: str = "wrong"
    template: str = "template"
    pieces: str = "pieces"

    @property
    def needed(self) -> dict[str, str]:
        """The names of the columns that must be there, by what they hold."""
        return {role: getattr(self, role) for role in (*_PROMPTS, *_ANSWERS)}

    @property
    def every(self) -> dict[str, str]:
        """The names of all columns, by what they hold."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def changed(self) -> dict[str, str]:
        """The names that are not the usual ones, by what they hold."""
        return {role: name for role, name in self.every.items() if name != role}


@dataclass(frozen=True)
class RowProblem:
    """Why a row cannot be used; `row` is None for what concerns the whole table.

    >>> print(RowProblem(3, "column 'wrong' is empty"))
    row 3: column 'wrong' is empty
    """

    row: int | None
    message: str

    def __str__(self) -> str:
        return self.message if self.row is None else f"row {self.row}: {self.message}"


@dataclass(frozen=True)
class Row:
    """One row as it was read: its number, as its reader counts, and its cells by column."""

    number: int
    cells: Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """What was read from a file or a dataset.

    Attributes:
        columns: The names of the columns, of a table that has a header; those of any row without.
        rows: The rows that could be read.
        problems: Those that could not.

    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    problems: tuple[RowProblem, ...] = ()


@dataclass(frozen=True)
class NumberedPair:
    """A pair, and the row that it came from."""

    row: int
    pair: PromptPair


@dataclass(frozen=True)
class ParsedTable:
    """The pairs of a table, as far as they are known without a tokenizer.

    Attributes:
        pairs: Those of the rows without a problem.
        problems: Everything that is wrong with the other rows.
        n_rows: All rows.
        has_templates: Whether there is a template column.

    """

    pairs: tuple[NumberedPair, ...]
    problems: tuple[RowProblem, ...]
    n_rows: int
    has_templates: bool

    @property
    def digest(self) -> str:
        """A hash of the pairs (XXH3, 128 bits, hexadecimal), whatever file they were read from."""
        pairs = [(p.pair.clean, p.pair.corrupted, p.pair.correct, p.pair.wrong) for p in self.pairs]
        templates = [p.pair.template for p in self.pairs] if self.has_templates else None
        pieces = [piece_cells(p.pair.pieces) for p in self.pairs]
        known = [pairs, templates, *([pieces] if any(pieces) else [])]
        return xxh3_128_hexdigest(json.dumps(known).encode())


class RowsError(TaskError):
    """Rows of a table cannot be used; `problems` says which, and why.

    >>> raise RowsError("mine.jsonl", 10, [RowProblem(3, "column 'wrong' is empty")])
    Traceback (most recent call last):
    circuits.tasks.rows.RowsError: mine.jsonl: 1 of 10 rows cannot be used: row 3: column 'wrong' is
    empty (`circuits tasks check` lists all problems, ...)
    """

    def __init__(self, name: str, n_rows: int, problems: Sequence[RowProblem]) -> None:
        """The message names the first problems; `problems` has all of them."""
        self.problems = tuple(problems)
        bad = len({problem.row for problem in problems} - {None})
        count = f"{bad} of {n_rows} rows cannot be used: " if bad else ""
        shown = "; ".join(map(str, problems[:_SHOWN_PROBLEMS]))
        more = len(problems) - _SHOWN_PROBLEMS
        rest = f"; and {more} more problems" if more > 0 else ""
        super().__init__(
            f"{name}: {count}{shown}{rest} (`circuits tasks check` lists all problems, and writes "
            "the rows that can be used to a file)"
        )


def parse_table(table: Table, columns: Columns) -> ParsedTable:
    """Make pairs of rows, and collect every problem of every row."""
    has_templates = columns.template in table.columns or "template" in columns.changed
    drafts, problems = [], [*_whole_table(table, columns), *table.problems]
    if not any(problem.row is None for problem in problems):
        drafts, found = _drafts(table, columns, has_templates)
        problems += found
    numbers = _template_numbers([draft.get("template") for _, draft in drafts])
    pairs = tuple(
        NumberedPair(row, PromptPair(**{**draft, "template": number}))
        for (row, draft), number in zip(drafts, numbers, strict=True)
    )
    n_rows = len({row.number for row in table.rows} | {p.row for p in table.problems} - {None})
    return ParsedTable(pairs, in_order(problems), n_rows, has_templates)


def in_order(problems: Iterable[RowProblem]) -> tuple[RowProblem, ...]:
    """Those of the whole table, then those of its rows, by number."""
    return tuple(sorted(problems, key=lambda found: -1 if found.row is None else found.row))


def _whole_table(table: Table, columns: Columns) -> list[RowProblem]:
    """A column that no row has, or no rows: one problem, not one for every row."""
    if not table.rows and not table.problems:
        return [RowProblem(None, "there are no rows")]
    needed = columns.needed | columns.changed
    there = quoted_list(table.columns)
    return [
        RowProblem(
            None,
            f"column {name!r} is missing, the columns are: {there}; to take another one, write "
            f"?{role}=NAME behind the file's name (?{role}=NAME&... for several)",
        )
        for role, name in needed.items()
        if table.rows and name not in table.columns
    ]


def _drafts(
    table: Table, columns: Columns, has_templates: bool
) -> tuple[list[tuple[int, dict[str, Any]]], list[RowProblem]]:
    """What each row gives, for the rows without a problem, and the problems of the others."""
    drafts: list[tuple[int, dict[str, Any]]] = []
    problems: list[RowProblem] = []
    kept: dict[str, int] = {}
    for row in table.rows:
        draft, found = _draft(row, columns, has_templates)
        clean = draft.get("clean")
        if clean in kept:
            found.append(f"the clean prompt is that of row {kept[clean]}, too: {quoted(clean)}")
        problems += [RowProblem(row.number, message) for message in found]
        if not found:
            kept[draft["clean"]] = row.number
            drafts.append((row.number, draft))
    return drafts, problems


def _draft(row: Row, columns: Columns, has_templates: bool) -> tuple[dict[str, Any], list[str]]:
    """What the row gives for a `PromptPair`, and what is wrong with the rest."""
    draft: dict[str, Any] = {}
    problems: list[str] = []
    readers: dict[str, Callable[[Any], Any]]
    readers = {**dict.fromkeys(_PROMPTS, _prompt), **dict.fromkeys(_ANSWERS, _answers)}
    if has_templates:
        readers["template"] = _label
    if columns.pieces in row.cells:
        readers["pieces"] = partial(read_pieces, clean=row.cells.get(columns.clean))
    for role, read in readers.items():
        name = getattr(columns, role)
        try:
            draft[role] = read(row.cells[name])
        except KeyError:
            problems.append(f"column {name!r} is missing")
        except TaskError as error:
            problems.append(f"column {name!r} {error}")
    if draft.get("clean", 0) == draft.get("corrupted", 1):
        problems.append(
            f"the clean and the corrupted prompt are the same: {quoted(draft['clean'])}"
        )
    if shared := sorted(set(draft.get("correct", ())) & set(draft.get("wrong", ()))):
        problems.append(f"answers are both correct and wrong: {quoted_list(shared)}")
    return draft, problems


def _prompt(cell: Any) -> str:
    if not _is_text(cell):
        raise TaskError(f"must be text, got {shown(cell)}{_misread(cell)}")
    if not cell.strip():
        raise TaskError("is empty")
    return cell


def _answers(cell: Any) -> tuple[str, ...]:
    answers = [cell] if isinstance(cell, str) else cell
    if not isinstance(answers, list | tuple) or not all(map(_is_text, answers)):
        raise TaskError(f"must be a text or a list of texts, got {shown(cell)}{_misread(cell)}")
    if not answers or "" in answers:
        raise TaskError("is empty" if len(answers) < 2 else "has an empty answer")
    return tuple(dict.fromkeys(answers))


def _misread(cell: Any) -> str:
    """What a cell that is no text seems to be."""
    items = cell if isinstance(cell, list | tuple) and cell else [cell]
    if all(isinstance(item, int) and not isinstance(item, bool) for item in items):
        return "; where these are token ids, write the text that they stand for"
    if isinstance(cell, dict):
        return "; pandas writes such a file with to_json(orient='records', lines=True)"
    return ""


def _is_text(cell: Any) -> bool:
    # JSON can spell halves of characters, which no tokenizer takes.
    return isinstance(cell, str) and not any("\ud800" <= letter <= "\udfff" for letter in cell)


def _label(cell: Any) -> int | str:
    if isinstance(cell, bool) or not isinstance(cell, int | str):
        raise TaskError(f"must be a number or a text, got {shown(cell)}")
    if cell == "":
        raise TaskError("is empty")
    return cell


def _template_numbers(labels: Sequence[int | str | None]) -> list[int]:
    """Numbers as they are; other labels numbered in the order of their first appearance."""
    if all(_NUMBER.fullmatch(str(label)) for label in labels):
        return [int(str(label)) for label in labels]
    place = {label: number for number, label in enumerate(dict.fromkeys(map(str, labels)))}
    return [place[str(label)] for label in labels]


def shown(cell: Any) -> str:
    """A cell for an error: as Python writes it, cut where it is long."""
    return quoted(cell, 60)
