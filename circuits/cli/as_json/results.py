"""Results as plain data, for `--json`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from circuits.behaviour import Behaviour
from circuits.cli.tables.evaluation import Subject
from circuits.comparison import Agreement, Comparison
from circuits.components import Connection, Node
from circuits.discovery.record import RECORD
from circuits.discovery.result import Discovery
from circuits.evaluation import Evaluation
from circuits.statistics import Chance, RocCurve
from circuits.studies import Grid, SeedStudy, Study
from circuits.summary import certainty
from circuits.summary.near_ties import near_ties

Report = dict[str, Any]
_FIGURES = ("precision", "recall", "f1", "iou")


def discovery(found: Discovery, saved: Path | None) -> Report:
    """The circuit, and everything `run.json` holds, with totals."""
    record = RECORD.dump_python(found.record, mode="json")
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
        "near_ties": [asdict(tie) for tie in near_ties(found)],
        "cost": {**record["cost"], **totals},
        "saved_to": None if saved is None else str(saved),
    }


def grid(found: Grid, saved: Path | None) -> Report:
    """What `grid.json` holds, and the chosen run."""
    return {**found.to_dict(), "found": discovery(found.found, saved)}


def study(found: Study, saved: Path | None) -> Report:
    """What `study.json` holds, and the chosen run."""
    return {**found.to_dict(), "found": discovery(found.found, saved)}


def seeds(found: SeedStudy, saved: Path | None) -> Report:
    """What `seeds.json` holds."""
    return {**found.to_dict(), "saved_to": None if saved is None else str(saved)}


def behaviour(behaviour: Behaviour, task: str, model: str, metric: str) -> Report:
    """How well a model does a task."""
    figures = {**asdict(behaviour), "weakness": behaviour.weakness}
    return {"task": task, "model": model, "metric": metric, **figures}


def evaluation(evaluation: Evaluation, found: Subject) -> Report:
    """All figures of a circuit."""
    about = {"task": found.task, "model": found.model, "metric": found.metric}
    return {**about, **evaluation.to_dict(), "prompts": found.prompts}


def comparison(found: Comparison, reference: str | None) -> Report:
    """How a circuit agrees with a reference (its name, where it has one), and how chance would."""
    rankings = {name: _ranking(ranking) for name, ranking in found.head_rankings.items()}
    edges, edge_ranking = found.edges, found.edge_ranking
    by_heads = None if found.edges_by_heads is None else _chance(found.edges_by_heads)
    return {
        "reference": reference,
        **_agreement(found.heads),
        "nodes": None if found.nodes is None else _agreement(found.nodes),
        "head_rankings": rankings,
        "edges": None if edges is None else {**_agreement(edges), "chance_same_heads": by_heads},
        "edge_ranking": None if edge_ranking is None else _ranking(edge_ranking),
    }


def _agreement(agreement: Agreement) -> Report:
    overlap = agreement.overlap
    return {
        **{figure: getattr(overlap, figure) for figure in _FIGURES},
        "p_value": agreement.p_value,
        "chance": _chance(agreement.chance),
        "true_positives": _names(overlap.true_positives),
        "false_positives": _names(overlap.false_positives),
        "false_negatives": _names(overlap.false_negatives),
    }


def _chance(chance: Chance) -> Report:
    return {figure: asdict(getattr(chance, figure)) for figure in _FIGURES}


def _ranking(ranking: RocCurve) -> Report:
    return {
        "auc": ranking.auc,
        "n_positive": ranking.n_positive,
        "n_negative": ranking.n_negative,
        "false_positive_rate": ranking.false_positive_rate.tolist(),
        "true_positive_rate": ranking.true_positive_rate.tolist(),
    }


def _verification(found: Discovery, record: Report | None) -> Report | None:
    """What was verified, with the bound in words."""
    if found.verification is None or record is None:
        return None
    bound, against = certainty.bound(found.verification), certainty.errors_against(found)
    return {**record, "bound": bound, "errors": against or "against the model itself"}


def _names(items: Iterable[Node] | Iterable[Connection]) -> list[str]:
    return [str(item) for item in sorted(items)]
