"""Circuits that commands are given: runs, files, references."""

from __future__ import annotations

from pathlib import Path

from circuits.circuit import Circuit
from circuits.cli.errors import UsageError
from circuits.discovery.result import Discovery
from circuits.references import Reference, load_reference


def read(path: Path) -> Discovery | Circuit:
    """Read a run's directory, or a circuit's JSON file. Raises ValueError, OSError."""
    return read_circuit_file(path) if path.is_file() else Discovery.load(path)


def read_circuit_file(path: Path) -> Circuit:
    """Read a circuit's JSON file. Raises ValueError, OSError."""
    try:
        return Circuit.from_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} holds no circuit: {error}") from error


def read_named(given: str) -> Discovery | Circuit | Reference:
    """What is at that path; where nothing is and it looks like none, the reference of that name."""
    path = Path(given)
    if path.exists() or given != path.name:
        return read(path)
    try:
        return load_reference(given)
    except ValueError as error:
        raise UsageError(f"there is no run or file {given} here, and {error}") from error
