"""Tasks, models and references as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from circuits.model.catalogue import CatalogueEntry
from circuits.references import Reference
from circuits.tasks import Task

Report = dict[str, Any]


def task(task: Task) -> Report:
    """A task with an example."""
    return {
        "name": task.name,
        "description": task.description,
        "source": task.source,
        "n_variants": task.n_variants,
        "example": asdict(task.example()),
    }


def model(entry: CatalogueEntry) -> Report:
    """A model known by name."""
    return {**asdict(entry), "needs_hub": entry.needs_hub}


def reference(known: Reference) -> Report:
    """A reference without its edges and how it was made."""
    full = known.to_dict()
    return {name: full[name] for name in full if name not in ("edges", "made_with")}
