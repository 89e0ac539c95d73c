"""A file that grows by one line for each thing that became known, and survives being cut off."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from circuits.runtime.files import write_atomically

Record = dict[str, Any]


class Journal:
    """JSON lines: first what the records belong to, then the records, oldest first.

    A record is written and flushed to the disk as a whole line before `append` returns. A line
    that an interruption left unfinished is dropped when the file is opened again.
    """

    def __init__(self, path: Path, belongs_to: Mapping[str, Any]) -> None:
        """Open a journal, or begin one. One that belongs to something else is begun anew."""
        self.path = path
        header = dict(belongs_to)
        lines = _whole_lines(path)
        self.records: list[Record] = lines[1:] if lines and lines[0] == header else []
        kept = [json.dumps(line) + "\n" for line in (header, *self.records)]
        write_atomically({path: "".join(kept).encode()})

    def append(self, record: Record) -> None:
        """Add a record."""
        with self.path.open("ab") as file:
            file.write(json.dumps(record).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.records.append(record)

    @staticmethod
    def owner(path: Path) -> Record | None:
        """What the journal at `path` belongs to; None where there is none."""
        lines = _whole_lines(path)
        return lines[0] if lines else None


def _whole_lines(path: Path) -> list[Record]:
    if not path.is_file():
        return []
    *whole, _unfinished = path.read_bytes().split(b"\n")
    found: list[Record] = []
    for line in whole:
        try:
            record = json.loads(line)
        except ValueError:
            break
        if not isinstance(record, dict):
            break
        found.append(record)
    return found
