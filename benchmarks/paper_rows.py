"""Table 2 of the paper, and the searches that make a row of it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.tables import table
from circuits import Circuit, Discovery, DiscoveryConfig, Reference, discover_grid
from circuits.discover import run_discovery
from circuits.discovery.record import CIRCUIT_FILE
from circuits.forward import TransformerBridge
from circuits.model import identify
from circuits.runtime.progress import Note
from circuits.tasks import get_task

TABLE = Path(__file__).parent / "paper_table_2.json"
DENSE = "path-patching"
PRUNINGS = ("flap", "contrastive-flap", "merged-flap")
KEEP = 75.0
"""Percent of performance that the published search asks of a dense circuit."""


@dataclass(frozen=True)
class Row:
    """One method on one task of one model; performance and recall in percent.

    Attributes:
        precision: None for the dense circuit, and where nothing was found.
        recall: None for the dense circuit, and where that is empty.
        against: What the two are measured against; None for the dense circuit itself.

    """

    model: str
    task: str
    method: str
    n_prompts: int
    seed: int
    performance: float
    heads: int
    sparsity: float
    precision: float | None = None
    recall: float | None = None
    against: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What distinguishes it from other rows."""
        return self.model, self.task, self.method


@dataclass(frozen=True)
class Laboratory:
    """A loaded model, the prompts' number and seed, and where searches are kept."""

    name: str
    bridge: TransformerBridge
    n_prompts: int
    seed: int
    directory: Path

    def search(self, task: str, method: str) -> Discovery:
        """The finished search of a method; one that was begun is gone on with."""
        directory = self.directory / self.name.replace("/", "-") / task / method
        if (directory / CIRCUIT_FILE).is_file():
            found = Discovery.load(directory)
            if self._is_of(found):
                return found
        config = DiscoveryConfig(method=method, n_prompts=self.n_prompts, seed=self.seed)
        if method == DENSE:
            grid = discover_grid(
                self.bridge, task, keep=KEEP, config=config, directory=directory, overwrite=True
            )
            grid.save(directory, overwrite=True)
            return grid.found
        found = run_discovery(
            self.bridge, get_task(task), config, directory=directory, overwrite=True
        )
        found.save(directory, overwrite=True)
        return found

    def row(self, task: str, method: str, circuit: Circuit, performance: float) -> Row:
        """The figures of a circuit, compared with nothing."""
        return Row(
            model=self.name,
            task=task,
            method=method,
            n_prompts=self.n_prompts,
            seed=self.seed,
            performance=performance,
            heads=len(circuit),
            sparsity=circuit.sparsity,
        )

    def _is_of(self, found: Discovery) -> bool:
        same_prompts = (found.config.n_prompts, found.config.seed) == (self.n_prompts, self.seed)
        same_model = found.provenance.model.weight_hash == identify(self.bridge).weight_hash
        return same_prompts and same_model


def task_rows(laboratory: Laboratory, task: str, ours: Reference | None, say: Note) -> list[Row]:
    """All methods on one task, against the dense search, or an exact reference in its place.

    What is measured against a reference sees the prompts that this was made on.
    """
    if ours is None or ours.made_with is None:
        say(f"{laboratory.name}, {task}: {DENSE} ...")
        found = laboratory.search(task, DENSE)
        dense, against, performance = found.circuit, DENSE, found.performance
    else:
        dense, against, performance = ours.circuit, ours.name, ours.made_with["performance"]
        prompts = {name: ours.made_with["config"][name] for name in ("n_prompts", "seed")}
        laboratory = replace(laboratory, **prompts)
    rows = [laboratory.row(task, DENSE, dense, performance)]
    for method in PRUNINGS:
        say(f"{laboratory.name}, {task}: {method} ...")
        pruned = laboratory.search(task, method)
        overlap = pruned.circuit.compare(dense)
        row = laboratory.row(task, method, pruned.circuit, pruned.performance)
        measured = {"precision": _percent(overlap.precision), "recall": _percent(overlap.recall)}
        rows.append(replace(row, against=against, **measured))
    return rows


def published() -> dict[tuple[str, str, str], dict[str, Any]]:
    """The paper's rows by model, task and method."""
    rows = json.loads(TABLE.read_text())["rows"]
    return {(row["model"], row["task"], row["method"]): row for row in rows}


def markdown(rows: list[Row]) -> str:
    """Ours beside the published figures, one row for each circuit."""
    theirs = published()
    titles = ["model", "task", "method", "performance", "published", "heads", "published"]
    titles += ["recall", "published", "precision"]
    lines = []
    for row in rows:
        paper = theirs.get(row.key, {})
        cells = (
            row.model,
            row.task,
            row.method,
            _figure(row.performance),
            _figure(paper.get("performance")),
            f"{row.heads} ({row.sparsity:.2f})",
            f"{paper['heads']} ({paper['sparsity']:.2f})" if paper else "-",
            _figure(row.recall),
            _figure(paper.get("recall")),
            _figure(row.precision),
        )
        lines.append(cells)
    return table(titles, lines, n_left=3)


def as_json(row: Row) -> dict[str, Any]:
    """A row with what the paper has in its place."""
    return {**asdict(row), "published": published().get(row.key)}


def _percent(share: float) -> float | None:
    return None if math.isnan(share) else 100 * share


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} %"
