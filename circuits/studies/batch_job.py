"""One run of a batch: what is asked, as data that can be sent anywhere, and its row of the table.

A `Problem` names the hash of the weights, and so needs the model. What is asked here names the
model alone: whoever makes a batch need not be able to load it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import isnan
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.finish import finish
from circuits.discovery.kept import Kept
from circuits.discovery.origin import check_rows
from circuits.discovery.result import Discovery
from circuits.discovery.session import Session
from circuits.forward import LayeredModel
from circuits.runtime.progress import Progress
from circuits.tasks import get_task

State = Literal["waiting", "found", "no circuit", "failed"]


@dataclass(frozen=True)
class Asked:
    """What a run of a batch is to find.

    Attributes:
        name: Of the run: model, task, method and seed, as a path.
        model: What `load_model` takes.
        dtype: Of the weights.
        device: Where they are to be; None leaves it to the worker.
        task: What `get_task` takes.
        task_digest: A hash of the task's rows, where they were read from somewhere.
        method: What the batch calls these settings.
        config: Every setting.

    """

    name: str
    model: str
    dtype: str
    device: str | None
    task: str
    task_digest: str | None
    method: str
    config: DiscoveryConfig

    @property
    def key(self) -> dict[str, Any]:
        """All that decides what is found; not what it is called."""
        return _ASKED.dump_python(replace(self, name="", method="", device=None), mode="json")


_ASKED: TypeAdapter[Asked] = TypeAdapter(Asked)


@dataclass(frozen=True)
class BatchRow:
    """One run in the table of a batch.

    Attributes:
        name: Of the run; its directory is `runs/` and this.
        model: The model's name.
        task: What `get_task` takes to give the task.
        method: What the batch calls the settings.
        seed: Of the prompts.
        state: "waiting", "found", "no circuit" where the model does not do the task, or "failed".
        performance: Percent of the metric that the circuit keeps; None where there is none.
        heads: Names of its heads.
        n_edges: How many edges it has.
        sparsity: Share of the model's heads outside it.
        weight_hash: Of the model.
        error: Why it failed, or why there is no circuit.
        attempts: How often it was begun, workers that were lost included.
        seconds: Of all stages.
        flops: Of all stages.
        peak_memory_bytes: The largest memory of any stage.

    >>> BatchRow("toy/ioi/app/seed-0", "toy", "ioi", "app", 0).state
    'waiting'
    """

    name: str
    model: str
    task: str
    method: str
    seed: int
    state: State = "waiting"
    performance: float | None = None
    heads: tuple[str, ...] = ()
    n_edges: int | None = None
    sparsity: float | None = None
    weight_hash: str | None = None
    error: str | None = None
    attempts: int = 0
    seconds: float | None = None
    flops: int | None = None
    peak_memory_bytes: int | None = None

    @classmethod
    def waiting(cls, asked: Asked) -> BatchRow:
        """The row of a run that has not ended."""
        return cls(asked.name, asked.model, asked.task, asked.method, asked.config.seed)


@dataclass(frozen=True)
class BatchJob:
    """A run of a batch as a function that can be sent to another process.

    Attributes:
        asked: What to find.
        directory: Where to save it.

    """

    asked: Asked
    directory: Path

    def __call__(self, progress: Progress) -> BatchRow:
        """Load the model, discover, and save; what the directory holds already is not done again.

        Raises:
            MismatchError: The task has other rows here.
            CircuitsError: As `load_model` and `discover_circuit` raise it.

        """
        asked, task = self.asked, get_task(self.asked.task)
        check_rows(task, asked.task, asked.task_digest)
        model = _loaded(asked.model, asked.dtype, asked.device)
        with Session.at_work(model, task, asked.config, Kept(self.directory)) as session:
            return row_of(asked, finish(session, progress))


def row_of(asked: Asked, found: Discovery) -> BatchRow:
    """A finished run as a row."""
    return replace(
        BatchRow.waiting(asked),
        state="no circuit" if found.refusal else "found",
        performance=None if isnan(found.performance) else found.performance,
        heads=tuple(str(head) for head in sorted(found.circuit.heads)),
        n_edges=len(found.circuit.edges),
        sparsity=found.circuit.sparsity,
        weight_hash=found.provenance.model.weight_hash,
        error=found.refusal,
        seconds=found.cost.seconds,
        flops=found.cost.flops,
        peak_memory_bytes=found.cost.peak_memory_bytes,
    )


@lru_cache(maxsize=1)
def _loaded(model: str, dtype: str, device: str | None) -> LayeredModel:
    """Kept for the worker's next job, which mostly asks for the same."""
    # Imported late: what stands in for it in a test does so here, too.
    from circuits.model import load_model

    return LayeredModel.of(load_model(model, dtype=dtype, device=device))
