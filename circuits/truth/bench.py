"""Every method on every model whose circuit is known, and how near it comes to that circuit."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from circuits.discover import run_discovery
from circuits.discovery.result import Discovery
from circuits.runtime.files import write_atomically
from circuits.runtime.journal import Journal
from circuits.truth.ground import DATA, GroundTruth, load_truth, truth_digest, truth_record
from circuits.truth.methods import CONTESTANTS, Contestant
from circuits.truth.rows import TruthRow, row_of

ROWS_FILE, JOURNAL_FILE = "truth.json", "rows.jsonl"
Tell = Callable[[str, float], None]
_VERSIONED = ("accelerated-path-patching", "torch", "transformer-lens")
_ROWS: TypeAdapter[list[TruthRow]] = TypeAdapter(list[TruthRow])


def run_truth(
    names: Sequence[str],
    directory: Path,
    *,
    contestants: Sequence[Contestant] = CONTESTANTS,
    seed: int = 0,
    tell: Tell = lambda line, done: None,
    data: Path = DATA,
) -> list[TruthRow]:
    """Run every method on every model; rows that `directory` has already are not run again.

    Rows are kept in `rows.jsonl` as they come, and all together in `truth.json` in the end.

    Args:
        names: Models, of `list_truths`.
        directory: Where rows are kept.
        contestants: Methods with their settings.
        seed: Of the prompts.
        tell: Hears of each method before it runs, and which share of the rows is there.
        data: Where the models are.

    Raises:
        ValueError: There is no model of a name.

    """
    directory.mkdir(parents=True, exist_ok=True)
    versions = {name: metadata.version(name) for name in _VERSIONED}
    journal = Journal(directory / JOURNAL_FILE, {"versions": versions})
    rows: list[TruthRow] = []
    for name in names:
        truth: GroundTruth | None = None
        for contestant in contestants:
            key = _key(name, contestant, seed, data)
            row = _known(journal, key)
            if row is None:
                truth = truth or load_truth(name, data)
                tell(f"{contestant.name} on {name}", len(rows) / (len(names) * len(contestants)))
                row = row_of(truth, contestant.name, discover(truth, contestant, seed))
                journal.append({"key": key, "row": as_json([row])[0]})
            rows.append(row)
    text = json.dumps(as_json(rows), indent=1, allow_nan=False)
    write_atomically({directory / ROWS_FILE: f"{text}\n".encode()})
    return rows


def discover(truth: GroundTruth, contestant: Contestant, seed: int = 0) -> Discovery:
    """What a method finds on a model."""
    return run_discovery(truth.model, truth.task, contestant.config(truth.record.shape, seed))


def as_json(rows: Sequence[TruthRow]) -> list[dict[str, Any]]:
    """Rows as plain lists, names and numbers."""
    return _ROWS.dump_python(list(rows), mode="json")


def from_json(rows: Sequence[dict[str, Any]]) -> list[TruthRow]:
    """Read what `as_json` gave. Raises pydantic's ValidationError, a ValueError, for others."""
    return _ROWS.validate_python(rows)


def _key(name: str, contestant: Contestant, seed: int, data: Path) -> dict[str, Any]:
    """All that decides a row, but for the code."""
    settings = asdict(contestant.config(truth_record(name, data).shape, seed))
    digest = truth_digest(name, data)
    return {"model": name, "digest": digest, "method": contestant.name, "settings": settings}


def _known(journal: Journal, key: dict[str, Any]) -> TruthRow | None:
    """A row that was measured before. Nothing that decided it has changed since."""
    for record in reversed(journal.records):
        if record["key"] == key:
            return from_json([record["row"]])[0]
    return None
