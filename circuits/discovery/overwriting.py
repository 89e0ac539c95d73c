"""What a directory holds already, and whether a run may be written over it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from xxhash import xxh3_128_hexdigest

from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.problem import Provenance
from circuits.errors import CircuitsError, OverwriteError
from circuits.runtime.reading import LARGEST_TENSORS, read_file
from circuits.runtime.settings import lenient_names

CIRCUIT_FILE, RUN_FILE, TENSOR_FILE = "circuit.json", "run.json", "tensors.safetensors"
DIGESTS = "files"
"""The field of `run.json` with the digest of each file that was written with it."""
Question = dict[str, tuple[Any, Any]]
_CONFIG: TypeAdapter[DiscoveryConfig] = TypeAdapter(DiscoveryConfig)
_PROVENANCE: TypeAdapter[Provenance] = TypeAdapter(Provenance)


def question(config: DiscoveryConfig, provenance: Provenance, *without: str) -> Question:
    """What a run is about, part by part: that which tells it apart, and how it is shown."""
    model, task = provenance.model, provenance.task
    parts = {
        "task": (provenance.task_digest or task, task),
        "model": (model.weight_hash, model.name),
        "metric": (config.metric, config.metric),
        "seed": (config.seed, config.seed),
        "number of prompts": (config.n_prompts, config.n_prompts),
        "number of templates": (config.n_templates, config.n_templates),
    }
    return {name: part for name, part in parts.items() if name not in without}


def written_with(directory: Path, record: str = RUN_FILE) -> dict[str, str]:
    """The digests of the files that a directory's record was written with; {} without a record."""
    digests = _fields(directory / record).get(DIGESTS)
    return digests if isinstance(digests, dict) else {}


def is_written(directory: Path, name: str, record: str = RUN_FILE) -> bool:
    """Whether a file is, to the letter, what was written with a record such as `run.json`."""
    path = directory / name
    digest = written_with(directory, record).get(name)
    if digest is None or not path.is_file():
        return False
    return xxh3_128_hexdigest(read_file(path, LARGEST_TENSORS)) == digest


def check_run_replaceable(directory: Path, asked: Question, beside: Iterable[str] = ()) -> None:
    """Raise OverwriteError where a run would replace one about something else, or another's files.

    Args:
        directory: Where it is to be written.
        asked: What it is about.
        beside: Names of the files that are written with it.

    """
    if RUN_FILE in _names(directory) and not written_with(directory):
        raise _refused(directory, f"a {RUN_FILE} that no run wrote")
    check_written_with(directory, (CIRCUIT_FILE, TENSOR_FILE, *beside), RUN_FILE)
    check_same_question(directory, RUN_FILE, asked)


def check_written_with(directory: Path, names: Iterable[str], record: str) -> None:
    """Raise OverwriteError where a file that is there was not written with a record there."""
    for name in names:
        if name in _names(directory) and not is_written(directory, name, record):
            raise _refused(directory, f"a {name} that was not written with a {record} there")


def check_same_question(directory: Path, name: str, asked: Question) -> None:
    """Raise OverwriteError where a file that names settings and provenance is about another one."""
    if name not in _names(directory):
        return
    fields = _fields(directory / name)
    try:
        with lenient_names():
            config = _CONFIG.validate_python(fields.get("config"))
            there = question(config, _PROVENANCE.validate_python(fields.get("provenance")))
    except (ValidationError, CircuitsError):
        raise _refused(directory, f"a {name} that cannot be read") from None
    for part, (tells, shown) in asked.items():
        if there[part][0] != tells:
            other = there[part][1]
            how = f"{part} {other}, not {shown}" if other != shown else f"another {part} {shown}"
            raise _refused(directory, f"a {name} of {how}")


def check_work_replaceable(directory: Path, difference: str | None) -> None:
    """Raise OverwriteError where effects of something else are kept, which is said in words."""
    if difference is not None:
        raise _refused(directory, f"effects of {difference}")


def _refused(directory: Path, what: str) -> OverwriteError:
    return OverwriteError(
        f"{directory} holds {what}: name another directory, or replace what is there "
        "(--overwrite, overwrite=True)"
    )


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} if directory.is_dir() else set()


def _fields(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(read_file(path)) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        fields = None
    return fields if isinstance(fields, dict) else {}
