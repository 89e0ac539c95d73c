"""The table of a batch: what is known of each run, whole at any moment, and never found twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from circuits.discovery.overwriting import RUN_FILE
from circuits.discovery.problem import installed_versions
from circuits.errors import FormatError, OverwriteError, ResumeError, cause
from circuits.runtime.files import write_atomically
from circuits.runtime.journal import Journal
from circuits.runtime.reading import read_file
from circuits.runtime.workers import Finished
from circuits.studies.batch_job import Asked, BatchJob, BatchRow

TABLE_FILE, JOURNAL_FILE, RUNS = "table.parquet", "rows.jsonl", "runs"
_WRITER, _US = b"written by", b"circuits batch"
_TEXT, _WHOLE, _REAL = pa.string(), pa.int64(), pa.float64()
SCHEMA = pa.schema(
    {
        **dict.fromkeys(("name", "model", "task", "method"), _TEXT),
        "seed": _WHOLE,
        "state": _TEXT,
        "performance": _REAL,
        "heads": pa.list_(_TEXT),
        "n_edges": _WHOLE,
        "sparsity": _REAL,
        "weight_hash": _TEXT,
        "error": _TEXT,
        "attempts": _WHOLE,
        "seconds": _REAL,
        "flops": _WHOLE,
        "peak_memory_bytes": _WHOLE,
    },
    {_WRITER: _US},
)
_ROWS: TypeAdapter[list[BatchRow]] = TypeAdapter(list[BatchRow])


class Ledger:
    """The rows of a batch, kept in its directory as they become known.

    Attributes:
        rows: By name, in the order of the batch.

    """

    def __init__(self, directory: Path, every: Sequence[Asked], *, resume: bool) -> None:
        """Go on with what the directory holds.

        Raises:
            ResumeError: It is to be resumed, and holds no begun batch.
            OverwriteError: It holds files of these names that no batch wrote.

        """
        _check(directory, resume=resume)
        self._directory, self._asked = directory, {one.name: one for one in every}
        self._journal = Journal(directory / JOURNAL_FILE, {"batch": installed_versions()})
        self.rows = {one.name: self._known(one) or BatchRow.waiting(one) for one in every}
        self._write()

    def jobs(self) -> dict[str, BatchJob]:
        """By name, the runs that have not ended well."""
        return {
            name: BatchJob(self._asked[name], self._place(name))
            for name, row in self.rows.items()
            if row.state in ("waiting", "failed")
        }

    def add(self, ended: Finished[BatchRow]) -> None:
        """Keep how a run ended."""
        name = ended.name
        if ended.result is not None:
            row = replace(ended.result, attempts=ended.attempts)
            record = {"key": self._asked[name].key, "row": _ROWS.dump_python([row], mode="json")[0]}
            self._journal.append(record)
        else:
            error = f"{type(ended.error).__name__}: {cause(ended.error or '')}"
            waiting = BatchRow.waiting(self._asked[name])
            row = replace(waiting, state="failed", error=error, attempts=ended.attempts)
        self.rows[name] = row
        self._write()

    def _known(self, asked: Asked) -> BatchRow | None:
        """How it ended before; None too where its run is gone."""
        if not (self._place(asked.name) / RUN_FILE).is_file():
            return None
        key = asked.key
        for record in reversed(self._journal.records):
            if record.get("key") == key:
                row = _ROWS.validate_python([record["row"]])[0]
                return replace(row, name=asked.name, method=asked.method)
        return None

    def _place(self, name: str) -> Path:
        return self._directory / RUNS / name

    def _write(self) -> None:
        write_table(self._directory / TABLE_FILE, tuple(self.rows.values()))


def write_table(path: Path, rows: Sequence[BatchRow]) -> None:
    """Replace the table at once, so that it can be read at any moment."""
    table = pa.Table.from_pylist([asdict(row) for row in rows], SCHEMA)
    content = BytesIO()
    pq.write_table(table, content)
    write_atomically({path: content.getvalue()})


def read_table(path: Path) -> tuple[BatchRow, ...]:
    """The rows of a table. Raises FormatError where no batch wrote it, OSError without one."""
    try:
        table = pq.read_table(BytesIO(read_file(path)))
        if (table.schema.metadata or {}).get(_WRITER) != _US:
            raise FormatError(f"{path} was written by no batch: give the directory of one")
        return tuple(_ROWS.validate_python(table.to_pylist()))
    except (pa.ArrowException, ValidationError) as error:
        raise FormatError(f"{path} is damaged: {cause(error)}") from error


def is_batch_begun(directory: Path) -> bool:
    """Whether a directory holds a batch that can be gone on with."""
    return "batch" in (Journal.owner(directory / JOURNAL_FILE) or {})


def _check(directory: Path, *, resume: bool) -> None:
    is_begun = is_batch_begun(directory)
    if resume and not is_begun:
        raise ResumeError(
            f"asked to resume a batch in {directory}, which holds none: name the directory it was "
            "begun in, or begin one without resume"
        )
    there: Mapping[str, bool] = {
        JOURNAL_FILE: is_begun,
        TABLE_FILE: _is_table_of_a_batch(directory / TABLE_FILE),
    }
    for name, is_ours in there.items():
        if (directory / name).exists() and not is_ours:
            raise OverwriteError(
                f"{directory} holds a {name} that no batch wrote: name another directory"
            )


def _is_table_of_a_batch(path: Path) -> bool:
    try:
        read_table(path)
    except (FormatError, OSError):
        return False
    return True
