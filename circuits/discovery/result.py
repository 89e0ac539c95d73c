"""What a discovery found: a pure result, which holds no model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.behaviour import Behaviour, Verdict
from circuits.circuit import Circuit
from circuits.components import Connection, Head, all_heads
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.evaluating import Evaluating, taking_part
from circuits.discovery.origin import check_rows, task_of
from circuits.discovery.problem import Provenance
from circuits.discovery.record import RunRecord, read_effects, read_run, write_run
from circuits.discovery.sized import circuit_at, read_rankings
from circuits.errors import InputError
from circuits.evaluation import Evaluation, EvaluationConfig, choose_scores
from circuits.evaluation.contributions import Contributions
from circuits.evaluation.sizes import SizeCurve
from circuits.forward import TransformerBridge
from circuits.model import check_weights, model_of
from circuits.patching import EdgeValues
from circuits.pruning import Pruning, merged_candidates
from circuits.runtime.cost import Cost
from circuits.runtime.progress import Progress, Stage
from circuits.runtime.workers import Workers
from circuits.search import Verification
from circuits.statistics.intervals import Estimate
from circuits.tasks import Task

_EFFECTS, _SCORES, _RANKINGS = "effects.", "scores.", "rankings."


@dataclass(frozen=True, eq=False)
class Discovery:
    """A discovered circuit with everything that led to it.

    Attributes:
        circuit: Heads, and edges with their normalised effects.
        performance: Percent of the full model's metric that the circuit keeps under mean ablation;
            NaN where there was no circuit to search for.
        behaviour: How well the model does the task.
        prunings: By name ("flap", "contrastive-flap"): the pruned heads and the sparsity curve.
        scores: By name, the scores that each pruning ranked heads by.
        effects: Path effects, exact where verified; None for methods that only prune.
        cost: FLOPs, forward passes, seconds and peak memory by stage.
        config: Every setting.
        provenance: Model identity, task, versions.
        verification: What was verified, and a bound on the rest; None where nothing was estimated,
            or `verify` is off.
        verdict: Whether there was a circuit to search for, and why; None in runs that were saved
            before there was a verdict.
        sizes: What circuits of all sizes keep, and which was chosen; None where none was by size.
        contributions: What each of its heads is worth to the circuit that was chosen, and which
            others work against the answer; None likewise.
        rankings: Where edges were chosen, by name: places of all edges, the best highest.
        edge_worth: Of each edge of such a circuit, points of faithfulness that are lost without it;
            None where they are too many: effects are estimates.

    >>> strongest = max(found.circuit.edges, key=lambda edge: abs(edge.effect))
    >>> print(strongest.connection)
    1.2 -> logits
    >>> Discovery.load(run) == found
    True
    """

    circuit: Circuit
    performance: float
    behaviour: Behaviour
    prunings: Mapping[str, Pruning]
    scores: Mapping[str, Float[Tensor, "layer head"]]
    effects: EdgeValues | None
    cost: Cost
    config: DiscoveryConfig
    provenance: Provenance
    verification: Verification | None = None
    verdict: Verdict | None = None
    sizes: SizeCurve | None = None
    contributions: Contributions | None = None
    rankings: Mapping[str, EdgeValues] = field(default_factory=dict)
    edge_worth: Mapping[Connection, Estimate] | None = None

    @property
    def refusal(self) -> str | None:
        """Why there was no circuit to search for; None where there was."""
        return self.verdict.reason if self.verdict and self.verdict.refuses else None

    @property
    def candidates(self) -> frozenset[Head]:
        """Heads that pruning left to the search: the union of all prunings, or every head."""
        merged = merged_candidates(self.prunings)
        sizes = self.circuit.n_layers, self.circuit.n_heads
        return frozenset(all_heads(*sizes)) if merged is None else merged

    @property
    def record(self) -> RunRecord:
        """Everything but the circuit and the tensors."""
        return RunRecord(
            self.config,
            self.provenance,
            self.behaviour,
            self.performance,
            dict(self.prunings),
            self.cost,
            self.verification,
            self.verdict,
            self.sizes,
            self.contributions,
            None if self.edge_worth is None else dict(self.edge_worth),
        )

    def tensors(self) -> dict[str, Tensor]:
        """Scores and effects by the names they are saved under."""
        named = {f"{_SCORES}{name}": scores for name, scores in self.scores.items()}
        named |= {f"{_RANKINGS}{name}": places.values for name, places in self.rankings.items()}
        if self.effects is not None:
            named[f"{_EFFECTS}values"] = self.effects.values
        return named

    def __eq__(self, other: object) -> bool:
        """Equal circuits, records and tensors (NaN equals NaN)."""
        if not isinstance(other, Discovery):
            return NotImplemented
        mine, theirs = self.tensors(), other.tensors()
        unequal = self.performance != other.performance
        if unequal and not math.isnan(self.performance) & math.isnan(other.performance):
            return False
        return (
            self.circuit == other.circuit
            and self.record == replace(other.record, performance=self.performance)
            and mine.keys() == theirs.keys()
            and all(torch.equal(mine[k].nan_to_num(7e7), theirs[k].nan_to_num(7e7)) for k in mine)
        )

    __hash__ = None  # type: ignore[assignment]

    def evaluate(
        self,
        model: TransformerBridge | None = None,
        task: Task | None = None,
        config: EvaluationConfig | None = None,
        progress: Progress | Stage | None = None,
        workers: Workers | None = None,
        directory: str | Path | None = None,
    ) -> Evaluation:
        """Evaluate the circuit, by default on prompts that it was not discovered on.

        Args:
            model: Needed where `load_model` cannot find the model by name, and it is not in use.
            task: Needed where `get_task` cannot find the task, and it is not in use.
            config: Which prompts, which curves, how wide the intervals.
            progress: A `Progress`, or a function of the stage "evaluation" and the fraction of it
                that is done.
            workers: Who take part; this process alone without.
            directory: Of the run: where workers keep what they find, in `work`.

        Raises:
            MismatchError: The model's weights, or the rows of the task, are not those the circuit
                was discovered on.
            InputError: The run has no scores of the name asked for, there was no circuit to search
                for, or (TaskError) the task has too few other prompts; (SettingError) workers have
                no directory.
            ExecutorError, BusyError: Workers cannot be had, or the directory is in use.

        Warns:
            FewPromptsWarning: The task has fewer other prompts than were asked for.

        """
        if self.refusal:
            raise InputError(f"there is no circuit to evaluate: {self.refusal}")
        config = config or EvaluationConfig()
        # Refused before anything is loaded.
        choose_scores(self.effects, self.scores, config.score)
        source = self.provenance
        task = task_of(source.task, source.task_digest) if task is None else task
        self.check_task(task)
        bridge = model_of(source.model) if model is None else model
        self.check_model(bridge)
        given = Progress.of(progress)
        part = given if given.name else given.stage("evaluation")
        with taking_part(workers, directory) as sharing:
            return Evaluating(self, bridge, task, config, sharing).evaluation(part)

    def at(
        self,
        *,
        keep: float | int | None = None,
        heads: int | None = None,
        edges: int | None = None,
    ) -> Discovery:
        """The discovery with another circuit of those that were tried, without a new search.

        Its edges are those that are known between its heads: paths were patched among the heads
        that were chosen. Where edges were chosen, they are those of the ranking, and what each is
        worth in the circuit is not known. Its performance is that on held-out prompts.

        Args:
            keep: The smallest that keeps so many percent of the metric.
            heads: The one of at most so many heads that keeps most.
            edges: The one of at most so many edges that keeps most, where edges were chosen.

        Raises:
            InputError: No such circuit was tried, or the method tries none.

        """
        if self.sizes is None:
            raise InputError(
                f"method {self.config.method} tries one circuit alone: discover with method "
                "in-context to have others"
            )
        point = self.sizes.at(keep=keep, heads=heads, edges=edges)
        return replace(
            self,
            circuit=circuit_at(point, self.circuit, self.rankings),
            performance=math.nan if point.held_out is None else point.held_out.value,
            sizes=replace(self.sizes, chosen=self.sizes.points.index(point)),
            contributions=self.contributions if point.heads == self.circuit.heads else None,
            edge_worth=self.edge_worth if point is self.sizes.point else None,
        )

    def check_model(self, bridge: TransformerBridge) -> None:
        """Raise MismatchError unless a model has the weights it was discovered on."""
        check_weights(bridge, self.provenance.model)

    def check_task(self, task: Task) -> None:
        """Raise MismatchError unless a task has the rows that the circuit was discovered on."""
        check_rows(task, self.provenance.task, self.provenance.task_digest)

    def save(
        self,
        directory: str | Path,
        beside: Mapping[str, bytes] | None = None,
        *,
        overwrite: bool = False,
    ) -> None:
        """Write `circuit.json`, `run.json` and `tensors.safetensors`: all of them or none.

        Args:
            directory: Of the run; made where there is none.
            beside: `grid.json` or `study.json`, written with them; those of an earlier run go.
            overwrite: Whether to replace runs about something else, and files that no run wrote.

        Raises OverwriteError where that is not to be done, BusyError where another process works.
        """
        write_run(directory, self.record, self.circuit, self.tensors(), beside, overwrite=overwrite)

    @classmethod
    def load(cls, directory: str | Path) -> Discovery:
        """Read what `save` wrote; no model is loaded.

        Raises:
            MissingRunError: The directory holds no saved run.
            FormatError: A file is damaged, or does not belong to the others.

        """
        record, circuit, tensors = read_run(directory)
        model = record.provenance.model
        return cls(
            circuit=circuit,
            performance=record.performance,
            behaviour=record.behaviour,
            prunings=record.prunings,
            scores=_named(tensors, _SCORES),
            effects=read_effects(directory, _named(tensors, _EFFECTS), record),
            cost=record.cost,
            config=record.config,
            provenance=record.provenance,
            verification=record.verification,
            verdict=record.verdict,
            sizes=record.sizes,
            contributions=record.contributions,
            rankings=read_rankings(directory, _named(tensors, _RANKINGS), model, circuit.spans),
            edge_worth=record.edge_worth,
        )


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
