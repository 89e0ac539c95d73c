"""Every method on every model whose circuit is known, and how near it comes to that circuit."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from circuits.components import HeadSet
from circuits.config import DiscoveryConfig, Engine, Method
from circuits.discover import run_discovery
from circuits.files import write_atomically
from circuits.journal import Journal
from circuits.pruning import PruningRule
from circuits.result import Discovery
from circuits.search import SelectionRule
from circuits.truth.ground import DATA, GroundTruth, Kind, load_truth, truth_digest, truth_record
from circuits.truth.scores import auc, head_strengths

ROWS_FILE, JOURNAL_FILE = "truth.json", "rows.jsonl"
Tell = Callable[[str], None]
_GROUP = 4
_VERSIONED = ("accelerated-path-patching", "torch", "transformer-lens")


@dataclass(frozen=True)
class Contestant:
    """A method as the benchmark runs it."""

    name: str
    method: Method
    engine: Engine = "exact"


CONTESTANTS = (
    Contestant("app", "app"),
    Contestant("path-patching-exact", "path-patching"),
    Contestant("path-patching-swept", "path-patching", "sweep"),
    Contestant("flap", "flap"),
    Contestant("contrastive-flap", "contrastive-flap"),
    Contestant("merged-flap", "merged-flap"),
)


@dataclass(frozen=True)
class TruthRow:
    """What one method found on one model.

    Attributes:
        model: Name of the model.
        kind: How its circuit came about.
        method: Name of the method.
        precision: Share of the found heads that are true; None where none was found.
        recall: Share of the true heads that were found.
        auc: How often the method's scores put a true head above another one.
        performance: Percent of the model's metric that the found heads keep alone.
        true_performance: Percent of it that the true heads keep alone.
        candidates: Heads that pruning left.
        true_heads: The heads of the true circuit.
        found: The heads that were found.
        missed: True heads that were not.
        missed_by_pruning: Those of them that pruning had left out.

    """

    model: str
    kind: Kind
    method: str
    precision: float | None
    recall: float
    auc: float
    performance: float
    true_performance: float
    candidates: int
    true_heads: HeadSet
    found: HeadSet
    missed: HeadSet
    missed_by_pruning: HeadSet


_ROWS: TypeAdapter[list[TruthRow]] = TypeAdapter(list[TruthRow])


def config_for(truth: GroundTruth, contestant: Contestant, seed: int) -> DiscoveryConfig:
    """The settings of a discovery on a small model; they look at its sizes, never at its truth."""
    shape = truth.record.shape
    return DiscoveryConfig(
        method=contestant.method,
        engine=contestant.engine,
        seed=seed,
        selection=small_selection(shape.n_layers, shape.n_heads),
        pruning=small_pruning(shape.n_layers * shape.n_heads),
    )


def small_selection(n_layers: int, n_heads: int) -> SelectionRule:
    """The published rule, with thresholds that few senders can reach.

    Among n senders of which m have the same effect and the others none, the effect of each stands
    sqrt((n - m) (n - 1) / (n m)) standard deviations above the mean: for one of eight 2.5, for two
    of eight 1.6, whatever the effect. Published thresholds (2 to 2.5, and 2 / sqrt(n) on top) are
    made for hundreds of senders, and select nothing among eight. Here a threshold is at most half
    of what `_GROUP` equal senders reach (one half, so that somewhat unequal ones pass together),
    which changes nothing from about 105 senders on; and it does not grow with distance, of which
    there is none to speak of.
    """
    published = SelectionRule()
    return SelectionRule(
        threshold=min(published.threshold, _reach(n_heads) / 2),
        logits_threshold=min(published.logits_threshold, _reach(n_layers * n_heads) / 2),
        min_effect=published.min_effect,
        distance="linear",
        alpha=0.0,
    )


def _reach(n: int) -> float:
    """How far `_GROUP` equal effects of n stand above the mean, in standard deviations."""
    group = min(_GROUP, n / 2)
    return ((n - group) * (n - 1) / (n * group)) ** 0.5


def small_pruning(n: int) -> PruningRule:
    """The published rule at every possible number of heads.

    From 60 % sparsity on, as published, a model of eight heads could keep three.
    """
    return PruningRule(lowest_sparsity=0.0, highest_sparsity=1 - 1 / n, step=1 / n)


def run_truth(
    names: Sequence[str],
    directory: Path,
    *,
    contestants: Sequence[Contestant] = CONTESTANTS,
    seed: int = 0,
    tell: Tell = lambda line: None,
    data: Path = DATA,
) -> list[TruthRow]:
    """Run every method on every model; rows that `directory` has already are not run again.

    Rows are kept in `rows.jsonl` as they come, and all together in `truth.json` in the end.
    """
    directory.mkdir(parents=True, exist_ok=True)
    versions = {name: metadata.version(name) for name in _VERSIONED}
    journal = Journal(directory / JOURNAL_FILE, {"seed": seed, "versions": versions})
    rows: list[TruthRow] = []
    for name in names:
        truth: GroundTruth | None = None
        for contestant in contestants:
            key = _key(name, contestant, data)
            row = _known(journal, key)
            if row is None:
                truth = truth or load_truth(name, data)
                tell(f"{contestant.name} on {name}")
                row = row_of(truth, contestant, discover(truth, contestant, seed))
                journal.append({"key": key, "row": _ROWS.dump_python([row], mode="json")[0]})
            rows.append(row)
    text = json.dumps(_ROWS.dump_python(rows, mode="json"), indent=1, allow_nan=False)
    write_atomically({directory / ROWS_FILE: f"{text}\n".encode()})
    return rows


def discover(truth: GroundTruth, contestant: Contestant, seed: int = 0) -> Discovery:
    """What a method finds on a model."""
    return run_discovery(truth.model, truth.task, config_for(truth, contestant, seed))


def row_of(truth: GroundTruth, contestant: Contestant, found: Discovery) -> TruthRow:
    """Compare what was found with the truth."""
    overlap = found.circuit.compare(truth.circuit)
    evaluator = found.evaluator
    if evaluator is None:
        raise ValueError("a discovery that was loaded has no model: run it again")
    return TruthRow(
        model=truth.name,
        kind=truth.record.kind,
        method=contestant.name,
        precision=overlap.precision if found.circuit.heads else None,
        recall=overlap.recall,
        auc=auc(head_strengths(found.effects, found.scores), truth.heads),
        performance=found.performance,
        true_performance=evaluator.performance(truth.heads),
        candidates=len(found.candidates),
        true_heads=truth.heads,
        found=found.circuit.heads,
        missed=overlap.false_negatives,
        missed_by_pruning=truth.heads - found.candidates,
    )


def _key(name: str, contestant: Contestant, data: Path) -> dict[str, Any]:
    shape = truth_record(name, data).shape
    rules = {
        "selection": asdict(small_selection(shape.n_layers, shape.n_heads)),
        "pruning": asdict(small_pruning(shape.n_layers * shape.n_heads)),
    }
    return {"model": name, "digest": truth_digest(name, data), **asdict(contestant), **rules}


def _known(journal: Journal, key: dict[str, Any]) -> TruthRow | None:
    """A row that was measured before. Nothing that decided it has changed since."""
    for record in reversed(journal.records):
        if record["key"] == key:
            return _ROWS.validate_python([record["row"]])[0]
    return None
