"""Every method on every model whose circuit is known, and how near it comes to that circuit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from circuits.discovery.pipeline import Pipeline
from circuits.discovery.problem import installed_versions
from circuits.discovery.session import Session
from circuits.errors import OverwriteError, UnsupportedModelError
from circuits.runtime.files import write_atomically
from circuits.runtime.journal import Journal
from circuits.runtime.lock import only_user
from circuits.runtime.progress import SILENT, Progress
from circuits.runtime.workers import Workers
from circuits.truth.ground import DATA, GroundTruth, load_truth, truth_digest, truth_record
from circuits.truth.methods import Contestant, contestants
from circuits.truth.rows import TruthRow, row_of

ROWS_FILE, JOURNAL_FILE = "truth.json", "rows.jsonl"
_ROWS: TypeAdapter[list[TruthRow]] = TypeAdapter(list[TruthRow])


def run_truth(
    names: Sequence[str],
    directory: Path,
    *,
    methods: Sequence[Contestant] | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
    data: Path = DATA,
    workers: Workers | None = None,
) -> list[TruthRow]:
    """Run every method on every model; rows that `directory` has already are not run again.

    Rows are kept in `rows.jsonl` as they come, and all together in `truth.json` in the end.

    Args:
        names: Models, of `list_truths`.
        directory: Where rows are kept.
        methods: With their settings; `contestants()` without.
        seed: Seed of the prompts.
        progress: Hears of each method before it runs, and which share of the rows is there.
        data: Where the models are.
        workers: Who runs them; this process, one by one, without.

    Returns:
        One row for each model and method, in this order; none where a method is not defined for
        such a model.

    Raises:
        UnknownNameError: There is no model of a name.
        OverwriteError, BusyError: `directory` holds files of others, or is in use.
        ExecutorError: The workers cannot be had, or one was lost too often.

    >>> exact = Contestant("path-patching-exact", method="path-patching", engine="exact")
    >>> (row,) = run_truth(["hand-induction"], directory / "truth", methods=[exact])
    >>> sorted(map(str, row.found)), row.recall
    (['0.6', '1.6'], 1.0)
    """
    methods = contestants() if methods is None else methods
    with only_user(directory):
        journal = _journal(directory)
        if workers is not None:
            _spread(_jobs(names, journal, methods, seed, data), journal, workers, progress)
            progress = Progress(notes=progress.notes)
        rows = _rows(names, journal, methods, seed, progress, data)
        text = json.dumps(as_json(rows), indent=1, allow_nan=False)
        write_atomically({directory / ROWS_FILE: f"{text}\n".encode()})
    return rows


def _rows(
    names: Sequence[str],
    journal: Journal,
    methods: Sequence[Contestant],
    seed: int,
    progress: Progress,
    data: Path,
) -> list[TruthRow]:
    """What the journal lacks is measured, and kept in it."""
    rows: list[TruthRow] = []
    for name in names:
        truth: GroundTruth | None = None
        for contestant in methods:
            key = _key(name, contestant, seed, data)
            row = _known(journal, key)
            if row is None:
                truth = truth or load_truth(name, data)
                progress(len(rows) / (len(names) * len(methods)))
                progress.note(f"{contestant.name} on {name}")
                row = _measured(truth, contestant, seed, progress)
                if row is not None:
                    _keep(journal, key, row)
            if row is not None:
                rows.append(row)
    return rows


def _measured(
    truth: GroundTruth, contestant: Contestant, seed: int, progress: Progress
) -> TruthRow | None:
    """A row; None where the method is not defined for such a model."""
    try:
        return row_of(truth, contestant.name, run_of(truth, contestant, seed))
    except UnsupportedModelError as error:
        progress.note(f"no row of {contestant.name} on {truth.name}: {error}")
        return None


@dataclass(frozen=True)
class TruthJob:
    """A row as a function that can be sent to another process."""

    name: str
    contestant: Contestant
    seed: int
    data: Path

    def __call__(self, progress: Progress) -> TruthRow | None:
        """Load the model, run the method, and compare."""
        truth = _loaded(self.name, self.data)
        return _measured(truth, self.contestant, self.seed, progress)


@lru_cache(maxsize=1)
def _loaded(name: str, data: Path) -> GroundTruth:
    """Kept for the worker's next job, which mostly asks for the same."""
    return load_truth(name, data)


def _jobs(
    names: Sequence[str], journal: Journal, methods: Sequence[Contestant], seed: int, data: Path
) -> dict[str, TruthJob]:
    """By name, what the journal lacks."""
    return {
        f"{contestant.name} on {name}": TruthJob(name, contestant, seed, data)
        for name in names
        for contestant in methods
        if _known(journal, _key(name, contestant, seed, data)) is None
    }


def _spread(
    jobs: dict[str, TruthJob], journal: Journal, workers: Workers, progress: Progress
) -> None:
    for ended in workers.run(jobs, journal.path.parent, progress):
        job = jobs[ended.name]
        if ended.value is not None:
            key = _key(job.name, job.contestant, job.seed, job.data)
            _keep(journal, key, ended.value)
        progress.note(ended.name)


def _keep(journal: Journal, key: dict[str, Any], row: TruthRow) -> None:
    journal.append({"key": key, "row": as_json([row])[0]})


def _journal(directory: Path) -> Journal:
    """What is known already, by these versions. Raises OverwriteError for files of others."""
    owner = Journal.owner(directory / JOURNAL_FILE)
    there = JOURNAL_FILE if owner is not None else ROWS_FILE
    if (directory / there).exists() and "versions" not in (owner or {}):
        raise OverwriteError(
            f"{directory} holds a {there} that no benchmark wrote: name another directory"
        )
    return Journal(directory / JOURNAL_FILE, {"versions": installed_versions()})


def run_of(truth: GroundTruth, contestant: Contestant, seed: int = 0) -> Pipeline:
    """A method's discovery on a model, under way."""
    config = contestant.config(truth.record.shape, seed)
    return Pipeline(Session.of(truth.model, truth.task, config))


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
