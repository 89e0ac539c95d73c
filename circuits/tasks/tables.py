"""Tables from JSONL, CSV and `datasets.Dataset`, and back.

Rows are counted as the reader of a file sees them: lines of a JSONL file from 1; rows of a CSV file
as a spreadsheet shows them, the header being row 1; rows of a dataset from 0, as `dataset[i]`.

JSONL: one object for each line. CSV: UTF-8, with a header; an answer cell holds one answer, or
several as a JSON list (`[" she", " her"]`). `datasets` is imported on first use: it takes a second.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuits.errors import FormatError, TaskError, quoted_list
from circuits.runtime.reading import read_text
from circuits.tasks.rows import Columns, Row, RowProblem, Table, shown
from circuits.tasks.spans import piece_cells
from circuits.tasks.text import PromptPair

if TYPE_CHECKING:
    from datasets import Dataset

JSONL_SUFFIXES, CSV_SUFFIX = (".jsonl", ".ndjson"), ".csv"
FILE_SUFFIXES = (*JSONL_SUFFIXES, CSV_SUFFIX)
_COLUMNS = tuple(Columns().every)
_LONGEST_CELL = 2**30
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def read_file(path: Path, columns: Columns) -> Table:
    """Read a JSONL or CSV file.

    Raises:
        TaskError: The file is of another kind, cannot be read, or is no UTF-8.

    """
    suffix = checked_suffix(path)
    try:
        text = read_text(path, "utf-8-sig")
    except FormatError as error:
        raise TaskError(str(error)) from error
    except OSError as error:
        raise TaskError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise TaskError(f"{path}: line {line} is no UTF-8; save the file as UTF-8") from error
    return _read_csv(text, columns) if suffix == CSV_SUFFIX else _read_jsonl(text)


def read_dataset(dataset: Dataset, columns: Columns) -> Table:
    """Read the rows of a dataset; of its columns, those that are asked for."""
    names = dataset.column_names
    wanted = dataset.select_columns([name for name in names if name in columns.every.values()])
    return Table(tuple(names), tuple(Row(*row) for row in enumerate(wanted.to_list())))


def pairs_to_dataset(pairs: Iterable[PromptPair]) -> Dataset:
    """Pairs as a dataset with the usual columns; answers are lists of texts, pieces of objects."""
    from datasets import Dataset, Features, List, Value

    text, number = Value("string"), Value("int64")
    kinds = {"clean": text, "corrupted": text, "correct": List(text), "wrong": List(text)}
    kinds |= {"template": number, "pieces": List({"label": text, "start": number, "stop": number})}
    names, rows = _written(pairs, with_templates=True)
    return Dataset.from_list(rows, features=Features({name: kinds[name] for name in names}))


def pairs_to_bytes(
    pairs: Iterable[PromptPair], path: Path, *, with_templates: bool = True
) -> bytes:
    """Pairs as the content of a JSONL or CSV file, by the suffix of its name.

    Raises:
        TaskError: The suffix is neither.

    """
    suffix, (names, rows) = checked_suffix(path), _written(pairs, with_templates)
    if suffix != CSV_SUFFIX:
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, names, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    for row in rows:
        answers = {name: _answer_cell(row[name]) for name in ("correct", "wrong")}
        pieces = {"pieces": json.dumps(row["pieces"])} if "pieces" in names else {}
        writer.writerow({**row, **answers, **pieces})
    return file.getvalue().encode()


def _cells(pair: PromptPair) -> dict[str, Any]:
    return {
        "clean": pair.clean,
        "corrupted": pair.corrupted,
        "correct": list(pair.correct),
        "wrong": list(pair.wrong),
        "template": pair.template,
        "pieces": piece_cells(pair.pieces),
    }


def _written(
    pairs: Iterable[PromptPair], with_templates: bool
) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """The columns that are written, that of pieces where a pair has any; and the cells of them."""
    rows = [_cells(pair) for pair in pairs]
    without = set() if with_templates else {"template"}
    without |= set() if any(row["pieces"] for row in rows) else {"pieces"}
    names = tuple(name for name in _COLUMNS if name not in without)
    return names, [{name: row[name] for name in names} for row in rows]


def _read_jsonl(text: str) -> Table:
    if _is_one_list(text):
        whole = "the file is one JSON list; write one object ({...}) on each line, without the list"
        return Table((), (), (RowProblem(None, whole),))
    rows: list[Row] = []
    problems: list[RowProblem] = []
    names: dict[str, None] = {}
    # str.splitlines would also split at line separators that JSON allows inside a text.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except (ValueError, RecursionError) as error:
            # Not only JSONDecodeError: Python also refuses numbers of thousands of digits.
            problems.append(RowProblem(number, f"is no JSON: {error}"))
            continue
        if isinstance(cells, dict):
            rows.append(Row(number, cells))
            names.update(dict.fromkeys(cells))
        else:
            problems.append(RowProblem(number, f"must be a JSON object, got {shown(cells)}"))
    return Table(tuple(names), tuple(rows), tuple(problems))


def _read_csv(text: str, columns: Columns) -> Table:
    csv.field_size_limit(_LONGEST_CELL)
    records = _records(text)
    header = next(records, (1, []))[1]
    if separator := _other_separator(text):
        name = _SEPARATORS[separator]
        whole = f"columns are separated by {name}, and must be by commas; save the file with commas"
        return Table((), (), (RowProblem(None, whole),))
    if isinstance(header, str):
        return Table((), (), (RowProblem(None, f"the header {header}"),))
    if twice := sorted({name for name in header if header.count(name) > 1}):
        named = quoted_list(twice)
        return Table(tuple(header), (), (RowProblem(None, f"columns have the same name: {named}"),))
    rows: list[Row] = []
    problems: list[RowProblem] = []
    for number, record in records:
        if isinstance(record, str):
            problems.append(RowProblem(number, record))
        elif len(record) != len(header):
            cells = f"{len(record)} cells, the header has {len(header)}"
            problems.append(RowProblem(number, f"has {cells}; put a text with commas in quotes"))
        else:
            rows.append(Row(number, _csv_cells(dict(zip(header, record, strict=True)), columns)))
    return Table(tuple(header), tuple(rows), tuple(problems))


def _is_one_list(text: str) -> bool:
    """Whether the lines are those of a single JSON list of objects, not rows."""
    if not text.lstrip().startswith("["):
        return False
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return bool(found) and all(isinstance(row, dict) for row in found)


def _other_separator(text: str) -> str | None:
    """What separates the names of a header without commas; spreadsheets differ."""
    header = text.lstrip().partition("\n")[0]
    return next((mark for mark in _SEPARATORS if "," not in header and mark in header), None)


def _records(text: str) -> Iterator[tuple[int, Any]]:
    """Number and cells of every record that is not blank; a text says why one cannot be read."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    number = 0
    while True:
        number += 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, f"is no CSV: {error}"
            continue
        if record:
            yield number, record


def _csv_cells(cells: dict[str, str], columns: Columns) -> dict[str, Any]:
    lists = {columns.correct: str, columns.wrong: str, columns.pieces: dict}
    return {
        name: _listed(cell, lists[name]) if name in lists else cell for name, cell in cells.items()
    }


def _listed(cell: str, of: type = str) -> str | list[Any]:
    """What the cell lists where it is a JSON list, of texts or of objects; else the cell."""
    if not cell.startswith("["):
        return cell
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return cell
    is_list = isinstance(found, list) and all(isinstance(item, of) for item in found)
    return found if is_list else cell


def _answer_cell(answers: Sequence[str]) -> str:
    """What `_listed` reads back as these answers."""
    alone = len(answers) == 1 and _listed(answers[0]) == answers[0]
    return answers[0] if alone else json.dumps(list(answers), ensure_ascii=False)


def checked_suffix(path: Path) -> str:
    """The suffix of a file that can be read or written here. Raises TaskError on any other."""
    suffix = path.suffix.lower()
    if suffix not in FILE_SUFFIXES:
        raise TaskError(
            f"{path} is neither JSONL nor CSV by its name; the names of such files end in "
            f"{', '.join(FILE_SUFFIXES)}"
        )
    return suffix
