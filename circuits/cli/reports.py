"""Results as plain data, for `--json`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from circuits.behaviour import Behaviour
from circuits.circuit import Overlap
from circuits.cli import certainty
from circuits.components import HeadSet
from circuits.evaluation import Evaluation
from circuits.grid import Grid
from circuits.model import CatalogueEntry
from circuits.result import Discovery, RunRecord
from tasks import Task

Report = dict[str, Any]


def discovery(found: Discovery, saved: Path | None) -> Report:
    """The circuit, and everything `run.json` holds, with totals."""
    record = TypeAdapter(RunRecord).dump_python(found.record, mode="json")
    totals = {
        "flops": found.cost.flops,
        "forward_passes": found.cost.forward_passes,
        "seconds": found.cost.seconds,
        "peak_memory_bytes": found.cost.peak_memory_bytes,
    }
    return {
        "circuit": found.circuit.to_dict(),
        "sparsity": found.circuit.sparsity,
        "candidates": _names(found.candidates),
        **record,
        "verification": _verification(found, record["verification"]),
        "cost": {**record["cost"], **totals},
        "saved_to": None if saved is None else str(saved),
    }


def grid(found: Grid, saved: Path | None) -> Report:
    """What `grid.json` holds, and the chosen run."""
    return {**found.to_dict(), "found": discovery(found.found, saved)}


def task(task: Task) -> Report:
    """A task with an example."""
    return {
        "name": task.name,
        "description": task.description,
        "source": task.source,
        "n_variants": task.n_variants,
        "example": asdict(task.example()),
    }


def behaviour(behaviour: Behaviour, task: str, model: str, metric: str) -> Report:
    """How well a model does a task."""
    figures = {**asdict(behaviour), "weakness": behaviour.weakness}
    return {"task": task, "model": model, "metric": metric, **figures}


def model(entry: CatalogueEntry) -> Report:
    """A model known by name."""
    return {**asdict(entry), "needs_hub": entry.needs_hub}


def evaluation(evaluation: Evaluation, found: Discovery) -> Report:
    """All figures of a circuit."""
    about = {
        "task": found.provenance.task,
        "model": found.provenance.model.name,
        "metric": found.config.metric,
    }
    return {**about, **evaluation.to_dict()}


def overlap(overlap: Overlap) -> Report:
    """How two circuits agree."""
    return {
        "precision": overlap.precision,
        "recall": overlap.recall,
        "iou": overlap.iou,
        "true_positives": _names(overlap.true_positives),
        "false_positives": _names(overlap.false_positives),
        "false_negatives": _names(overlap.false_negatives),
    }


def _verification(found: Discovery, record: Report | None) -> Report | None:
    """What was verified, with the bound in words."""
    if found.verification is None or record is None:
        return None
    bound, against = certainty.bound(found.verification), certainty.errors_against(found)
    return {**record, "bound": bound, "errors": against or "against the model itself"}


def _names(heads: HeadSet) -> list[str]:
    return [str(head) for head in sorted(heads)]
