"""What a discovery has loaded: the model, its prompts, what is computed on them, what is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.kept import NOWHERE, Kept, check_begun
from circuits.discovery.origin import other_pairs, remember_task, sample_pairs, task_of
from circuits.discovery.problem import Problem, differences
from circuits.discovery.result import Discovery
from circuits.discovery.spent import Spent
from circuits.discovery.store import Store, is_begun_of, owner
from circuits.errors import CircuitsError, MismatchError, ResumeError, SettingError
from circuits.evaluation import Evaluator
from circuits.evaluation.shared import SharedMetrics
from circuits.forward import LayeredModel, TransformerBridge, in_float32
from circuits.forward.activations import Activations
from circuits.graph import ModelGraph
from circuits.metrics import Metric, get_metric
from circuits.model import identify, model_of
from circuits.patching import estimators_of
from circuits.runtime.lock import only_user
from circuits.runtime.progress import SILENT, Progress
from circuits.runtime.sharing import Sharing, shared
from circuits.runtime.workers import Workers, check_workers
from circuits.tasks import PromptPairs, Task


@dataclass(frozen=True, eq=False)
class Session:
    """A model, the prompts of a task, and the store of both.

    Attributes:
        task: What is asked of the model.
        problem: The question, with every setting.
        activations: What is computed on the prompts, once, when it is asked for.
        mean_pairs: The prompts that mean head outputs are taken over; the discovery's own come
            first.
        kept: Where the run is saved, and effects are kept.
        store: Effects, estimates and prunings that are known already.
        replaced: What the directory holds that is about something else, in words; it will be
            replaced.
        continues: Whether the directory holds effects of just this.
        sharing: Workers that take part; None: this process does all.

    >>> session = Session.of(model, task, config)
    >>> len(session.pairs), len(session.mean_pairs), session.graph.n_edges
    (4, 10, 108)
    """

    task: Task
    problem: Problem
    activations: Activations
    mean_pairs: PromptPairs
    kept: Kept
    store: Store
    replaced: str | None = None
    continues: bool = False
    sharing: Sharing | None = None

    @classmethod
    def of(
        cls,
        model: TransformerBridge | LayeredModel,
        task: Task,
        config: DiscoveryConfig,
        kept: Kept = NOWHERE,
    ) -> Session:
        """Take the model apart, sample the prompts, and open the store in a run's directory.

        Raises:
            UnsupportedModelError: The model's forward pass cannot be run in pieces.
            TaskError: The task cannot give so many prompts, or no spans where these are asked for.
            ResumeError: A run of just this is to be resumed, and the directory holds none.
            OverwriteError: The directory holds something else, which is not to be replaced.

        """
        if kept.resume:
            check_begun(kept.directory)
        layered = LayeredModel.of(model)
        pairs, mean_pairs = sample_pairs(layered.bridge, task, config)
        problem = _problem(layered, task, config, pairs)
        work = kept.work
        there = None if work is None else owner(work)
        continues = work is not None and is_begun_of(work, problem.key)
        replaced = None if there is None or continues else differences(there, problem.key)
        if kept.resume and replaced is not None:
            raise ResumeError(
                f"asked to resume the run in {kept.directory}, but it has {replaced}: give the "
                "settings it was begun with, or name another directory"
            )
        kept.check(config, problem.provenance(), replaced)
        store = Store(layered.graph(config.mlps, pairs.spans), problem.key, work)
        activations = Activations(layered, pairs, get_metric(config.metric))
        remember_task(task)
        return cls(task, problem, activations, mean_pairs, kept, store, replaced, continues)

    @classmethod
    @contextmanager
    def at_work(
        cls,
        model: TransformerBridge | LayeredModel,
        task: Task,
        config: DiscoveryConfig,
        kept: Kept = NOWHERE,
        workers: Workers | None = None,
    ) -> Iterator[Session]:
        """`of`, with the directory kept from all other processes while the `with` runs.

        Raises as `of` does, and BusyError where another process is at work there; SettingError
        where workers have no directory, and ExecutorError where they cannot be had.
        """
        check_workers(workers, kept.directory)
        if workers is not None and config.chooses_edges:
            raise SettingError(
                "with mlps 'nodes' one process does all: leave workers out (they can share out "
                "`circuits seeds` and `circuits batch`)"
            )
        if kept.resume:
            check_begun(kept.directory)
        with only_user(kept.directory):
            session = cls.of(model, task, config, kept)
            with shared(workers, kept.work) as sharing:
                yield replace(session, sharing=sharing)

    @classmethod
    def open(
        cls, problem: Problem, directory: str | Path | None = None, *, overwrite: bool = False
    ) -> Session:
        """Load what a problem names. `overwrite` as in `Kept`.

        Raises:
            MismatchError: The model's weights, the task's rows or the prompts are others here.
            CircuitsError: The model or the task cannot be loaded.

        """
        task = task_of(problem.task, problem.task_digest)
        kept = Kept(directory, overwrite=overwrite)
        session = cls.of(model_of(problem.model), task, problem.config, kept)
        if session.problem.prompts != problem.prompts:
            raise MismatchError(
                f"the prompts of {problem.task} are not those of the problem: the task's words or "
                "the tokenizer have changed"
            )
        return session

    @cached_property
    def other_pairs(self) -> tuple[PromptPairs, PromptPairs]:
        """Prompts to choose a circuit's size by, and prompts to report on."""
        return other_pairs(self.bridge, self.task, self.config, self.mean_pairs)

    @property
    def directory(self) -> Path | None:
        """Where the run is saved; None: nowhere."""
        return self.kept.path

    @property
    def config(self) -> DiscoveryConfig:
        """Every setting."""
        return self.problem.config

    @property
    def model(self) -> LayeredModel:
        """The model in pieces."""
        return self.activations.model

    @property
    def pairs(self) -> PromptPairs:
        """The prompts of the discovery."""
        return self.activations.pairs

    @property
    def bridge(self) -> TransformerBridge:
        """The model itself."""
        return self.model.bridge

    @property
    def metric(self) -> Metric:
        """The metric that effects are measured by."""
        return self.activations.metric

    @property
    def graph(self) -> ModelGraph:
        """The model's nodes and edges."""
        return self.store.graph

    @cached_property
    def exact_activations(self) -> Activations:
        """What exact effects read: in float32 where they verify estimates of lower precision."""
        estimator = estimators_of(self.config.mlps).get(self.config.engine)
        model = self.model if estimator.is_exact else in_float32(self.model)
        if model is self.model:
            return self.activations
        return Activations(model, self.pairs, self.metric)

    def evaluator(self, progress: Progress = SILENT) -> Evaluator:
        """Performance of sets of heads on the discovery's prompts; takes the means."""
        on = self.model, self.pairs, self.mean_pairs, self.metric
        return Evaluator(*on, progress, self.activations, self._elsewhere)

    @property
    def _elsewhere(self) -> SharedMetrics | None:
        problem, means = self.problem, self.mean_pairs
        if self.sharing is None:
            return None
        return SharedMetrics(problem.model, means, problem.config.metric, self.sharing)

    def saved(self) -> Discovery | None:
        """The finished discovery of just this that the directory holds, if it holds one."""
        if self.directory is None or not self.continues:
            return None
        try:
            found = Discovery.load(self.directory)
        except (OSError, CircuitsError):
            return None
        same = (found.config, found.provenance) == (self.config, self.problem.provenance())
        return found if same else None

    def spent(self) -> Spent:
        """What this has cost already, where the run goes on."""
        key, where = self.problem.key, self.store.directory
        return Spent(where, key, self.config, continues=self.continues)

    def with_config(self, config: DiscoveryConfig, directory: Path | None) -> Session:
        """The same session by other settings, saved elsewhere; its prompts do not change.

        Raises OverwriteError as `of` does.
        """
        kept = replace(self.kept, directory=directory)
        kept.check(config, self.problem.provenance(), None)
        return replace(self, problem=replace(self.problem, config=config), kept=kept)


def _problem(
    model: LayeredModel, task: Task, config: DiscoveryConfig, pairs: PromptPairs
) -> Problem:
    return Problem(
        model=identify(model.bridge),
        task=task.spec or task.name,
        task_name=task.name,
        task_digest=task.digest,
        prompts=pairs.digest,
        exact_engine=_exact_engine(config, model),
        config=config,
    )


def _exact_engine(config: DiscoveryConfig, model: LayeredModel) -> str:
    """What measures exact effects; a model in lower precision is verified in float32."""
    if estimators_of(config.mlps).get(config.engine).is_exact:
        return config.engine
    lower = model.dtype.itemsize < torch.float32.itemsize
    return "exact in float32" if lower else "exact"
