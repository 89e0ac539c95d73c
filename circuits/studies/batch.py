"""Models × tasks × methods × seeds, each a run of its own, on as many workers as there are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.result import Discovery
from circuits.errors import SettingError
from circuits.model.catalogue import DEFAULT_MODEL, check_name
from circuits.runtime.lock import only_user
from circuits.runtime.progress import Progress, Stage
from circuits.runtime.workers import Workers
from circuits.studies.batch_job import Asked, BatchRow
from circuits.studies.batch_table import RUNS, TABLE_FILE, Ledger, read_table
from circuits.studies.seeds import seed_numbers
from circuits.tasks import Task, get_task
from circuits.tasks.registry import TASKS

BATCH_STAGES = ("runs",)
_NO_NAME = re.compile(r"[^\w.=+-]+")


@dataclass(frozen=True)
class Batch:
    """What a batch is to run: every model on every task by every method with every seed.

    Attributes:
        models: What `load_model` takes.
        tasks: What `get_task` takes.
        methods: Settings by what the batch calls them; their own seed is not used.
        seeds: Of the prompts.
        dtype: Of the weights.
        device: Where they are to be; None leaves it to the workers.
        options: By the name of an executor, what it is given where it is used.

    Raises:
        SettingError: One of the lists is empty, or has something twice.
        TaskError, UnknownModelError: A task or a model is unknown.

    >>> batch = Batch(("smollm2-135m",), ("ioi",), {"app": DiscoveryConfig("app")}, (0, 1))
    >>> [asked.name for asked in batch.runs()]
    ['smollm2-135m/ioi/app/seed-0', 'smollm2-135m/ioi/app/seed-1']
    """

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    methods: Mapping[str, DiscoveryConfig]
    seeds: tuple[int, ...] = (0,)
    dtype: str = "float32"
    device: str | None = None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lists = {"models": self.models, "tasks": self.tasks, "methods": tuple(self.methods)}
        for name, entries in lists.items():
            _check_list(name, entries)
        seed_numbers(self.seeds, 0)
        for model in self.models:
            check_name(model)
        for task in self.tasks:
            get_task(task)

    def runs(self) -> tuple[Asked, ...]:
        """Every run, those of one model after each other. Raises SettingError for equal names."""
        tasks = {spec: get_task(spec) for spec in self.tasks}
        every = tuple(
            self._asked(model, tasks[spec], spec, method, seed)
            for model, spec, method, seed in product(
                self.models, self.tasks, self.methods, self.seeds
            )
        )
        _check_list("runs", [one.name for one in every])
        return every

    def _asked(self, model: str, task: Task, spec: str, method: str, seed: int) -> Asked:
        is_path = model != DEFAULT_MODEL and Path(model).expanduser().is_dir()
        return Asked(
            name="/".join((*map(_as_name, (model, spec, method)), f"seed-{seed}")),
            # Workers have working directories of their own.
            model=str(Path(model).expanduser().resolve()) if is_path else model,
            dtype=self.dtype,
            device=self.device,
            task=spec if spec in TASKS else _absolute(spec),
            task_digest=task.digest,
            method=method,
            config=replace(self.methods[method], seed=seed),
        )


@dataclass(frozen=True)
class BatchResult:
    """How the runs of a batch ended.

    Attributes:
        rows: One for each run, in the order of the batch.
        directory: Where they are: `runs/NAME`, and the rows as `table.parquet`.

    >>> from circuits.studies.batch_table import write_table
    >>> write_table(directory / "table.parquet", [BatchRow("a/b/app/seed-0", "a", "b", "app", 0)])
    >>> result = BatchResult.load(directory)
    >>> result.is_whole, len(result.failed)
    (False, 0)
    """

    rows: tuple[BatchRow, ...]
    directory: Path

    @classmethod
    def load(cls, directory: str | Path) -> BatchResult:
        """What is known so far, also of a batch that runs.

        Raises FormatError for a table that no batch wrote, and OSError where there is none.
        """
        return cls(read_table(Path(directory) / TABLE_FILE), Path(directory))

    @property
    def is_whole(self) -> bool:
        """Whether every run has ended well."""
        return all(row.state in ("found", "no circuit") for row in self.rows)

    @property
    def failed(self) -> tuple[BatchRow, ...]:
        """The runs that failed."""
        return tuple(row for row in self.rows if row.state == "failed")

    def discovery(self, row: BatchRow) -> Discovery:
        """All that a run found. Raises MissingRunError where it has not ended well."""
        return Discovery.load(self.directory / RUNS / row.name)


def run_batch(
    batch: Batch,
    directory: str | Path,
    *,
    workers: Workers | None = None,
    resume: bool = False,
    progress: Progress | Stage | None = None,
) -> BatchResult:
    """Run all that a batch asks for; what the directory holds already is not run again.

    A run that fails leaves its reason in the table, and stops no other; the next call with the
    same directory tries it again.

    Args:
        batch: What to run.
        directory: Where runs are saved (`runs/MODEL/TASK/METHOD/seed-0`) and rows are kept, in
            `table.parquet`, which is whole at any moment. All workers see it.
        workers: Who runs it; processes of this machine, one for each core, without.
        resume: Whether the directory must hold a begun batch.
        progress: A `Progress`, or a function of the stage "runs" and the fraction that is done.

    Raises:
        ResumeError, OverwriteError, BusyError: The directory holds no batch to resume, or files of
            others, or is in use.
        ExecutorError: The executor cannot be used.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> few = DiscoveryConfig("attribution", n_prompts=16, n_mean_prompts=16)
    >>> batch = Batch((str(checkpoint),), ("ioi",), {"attribution": few}, seeds=(0, 1))
    >>> with ThreadPoolExecutor(1) as pool:
    ...     result = run_batch(batch, directory / "batch", workers=Workers(pool))
    >>> [(row.seed, row.state) for row in result.rows]  # the model's weights are random
    [(0, 'no circuit'), (1, 'no circuit')]
    """
    place = Path(directory)
    workers = workers or Workers()
    workers.check()
    every = batch.runs()
    with only_user(place):
        ledger = Ledger(place, every, resume=resume)
        jobs = ledger.jobs()
        stage = Progress.of(progress).stage(BATCH_STAGES[0])
        known, rest = stage.parts(len(every) - len(jobs), len(jobs))
        known(1.0)
        for ended in workers.run(jobs, place, rest):
            ledger.add(ended)
            stage.note(_told(ledger.rows[ended.name], len(every)))
    return BatchResult(tuple(ledger.rows.values()), place)


def _told(row: BatchRow, n_runs: int) -> str:
    why = f" ({row.error})" if row.error else ""
    return f"{row.name}, of {n_runs} runs: {row.state}{why}"


def _check_list(name: str, entries: Sequence[str]) -> None:
    if not entries:
        raise SettingError(f"{name} must name at least one, got none")
    twice = [entry for number, entry in enumerate(entries) if entry in entries[:number]]
    if twice:
        raise SettingError(f"{name} has {twice[0]} twice: name each once")


def _as_name(text: str) -> str:
    """A part of a path that stands for a name, or for a path; never one that leads elsewhere."""
    return _NO_NAME.sub("-", text).strip("-.") or "-"


def _absolute(spec: str) -> str:
    path, mark, columns = spec.partition("?")
    return f"{Path(path).resolve()}{mark}{columns}" if Path(path).exists() else spec
