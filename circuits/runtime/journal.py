"""A file that grows by one line for each thing that became known, and survives being cut off."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xxhash import xxh3_128_hexdigest

from circuits.runtime.files import DamagedFileWarning, naming, write_atomically
from circuits.runtime.reading import read_file

Record = dict[str, Any]
_OWNER, _CHECKSUM, _HEADER, _RECORD = "owner", "checksum", "header", "record"


class Journal:
    """JSON lines: first what the records belong to, then the records, oldest first.

    A record is written and flushed to the disk as a whole line before `append` returns. Each line
    has a digest of what it belongs to, and a checksum. When the file is opened again, a line that
    an interruption left unfinished is dropped, and so is one that is damaged.

    Warns:
        DamagedFileWarning: Lines were dropped because they are damaged.

    """

    def __init__(self, path: Path, belongs_to: Mapping[str, Any]) -> None:
        """Open a journal, or begin one. One that belongs to something else is begun anew."""
        self.path = path
        header = dict(belongs_to)
        self._owner = _digest(header)
        lines, n_damaged = _whole_lines(path)
        mine = [line for line in lines if line.owner == self._owner]
        self.records: list[Record] = [line.content for line in mine if not line.is_header]
        if n_damaged:
            warnings.warn(
                f"{path} is damaged: {n_damaged} of its lines cannot be read and are left out; "
                "what they held is computed again",
                DamagedFileWarning,
                stacklevel=3,
            )
        kept = [self._line(_HEADER, header), *(self._line(_RECORD, one) for one in self.records)]
        write_atomically({path: b"".join(kept)})

    def append(self, record: Record) -> None:
        """Add a record."""
        with naming(self.path), self.path.open("ab") as file:
            file.write(self._line(_RECORD, record))
            file.flush()
            os.fsync(file.fileno())
        self.records.append(record)

    def _line(self, kind: str, content: Record) -> bytes:
        checked = {_OWNER: self._owner, _CHECKSUM: _checksum(self._owner, kind, content)}
        return json.dumps({**checked, kind: content}).encode() + b"\n"

    @staticmethod
    def owner(path: Path) -> Record | None:
        """What the journal at `path` belongs to; {} where that cannot be read, None without one."""
        if not path.exists() or (path.is_file() and not path.stat().st_size):
            return None
        return next((line.content for line in _whole_lines(path)[0] if line.is_header), {})

    @staticmethod
    def holds(path: Path, belongs_to: Mapping[str, Any]) -> bool:
        """Whether there is a journal at `path`, or a part of one, that belongs to this."""
        owner = _digest(dict(belongs_to))
        return any(line.owner == owner for line in _whole_lines(path)[0])


@dataclass(frozen=True)
class _Line:
    """What belongs to the header of that digest: a record of it, or the header itself."""

    owner: str
    is_header: bool
    content: Record


def _whole_lines(path: Path) -> tuple[list[_Line], int]:
    """The lines that are whole, and how many are damaged."""
    if not path.is_file():
        return [], 0
    *whole, _unfinished = read_file(path).split(b"\n")
    parsed = [_parsed(line) for line in whole]
    first = parsed[0] if parsed else None
    if first is not None and not {_OWNER, _CHECKSUM} & first.keys():
        # Of a version without checksums.
        owner = _digest(first)
        read = [_Line(owner, one is first, one) for one in parsed if one is not None]
        return read, parsed.count(None)
    lines = [line for one in parsed if (line := _checked(one)) is not None]
    return lines, len(parsed) - len(lines)


def _parsed(line: bytes) -> Record | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _checked(found: Record | None) -> _Line | None:
    """What a line says; None where it is not as it was written."""
    if found is None:
        return None
    kind = _HEADER if _HEADER in found else _RECORD
    owner, content = found.get(_OWNER), found.get(kind)
    if not isinstance(content, dict) or not isinstance(owner, str):
        return None
    if found.get(_CHECKSUM) != _checksum(owner, kind, content):
        return None
    return _Line(owner, kind == _HEADER, content)


def _digest(header: Record) -> str:
    return xxh3_128_hexdigest(json.dumps(header, sort_keys=True).encode())


def _checksum(owner: str, kind: str, content: Record) -> str:
    return xxh3_128_hexdigest(f"{owner} {kind} {json.dumps(content)}".encode())
