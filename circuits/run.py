"""A discovery under way: the stages in their order, and the result of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from circuits.behaviour import WeakTaskWarning, measure_behaviour
from circuits.circuit import Circuit
from circuits.config import DiscoveryConfig
from circuits.cost import Cost, CostMeter
from circuits.evaluation import Evaluator
from circuits.model import TransformerBridge
from circuits.result import Discovery, merged_candidates
from circuits.search import SelectionRule
from circuits.setting import Setting
from circuits.stages import Patched, PathPatcher, prune_heads
from tasks import Task

Progress = Callable[[str, float], None]
Announce = Callable[[str], None]
STAGES = ("behaviour", "means", "pruning", "patching", "evaluation")


class Run:
    """What every search does first, and what it makes a `Discovery` of in the end.

    Warns:
        WeakTaskWarning: The model does not do the task, so that a circuit means little.

    """

    def __init__(
        self,
        model: TransformerBridge,
        task: Task,
        config: DiscoveryConfig,
        progress: Progress,
        directory: str | Path | None,
    ) -> None:
        """Test the model, take mean head outputs, and prune."""
        self.setting = Setting.of(model, task, config, directory)
        self.meter = CostMeter(progress)
        with self.meter.stage("behaviour") as report:
            self.behaviour = measure_behaviour(
                model, self.setting.pairs, self.setting.metric, progress=report
            )
        if self.behaviour.weakness:
            message = (
                f"a circuit for {task.name} on this model means little: {self.behaviour.weakness}"
            )
            warnings.warn(message, WeakTaskWarning, stacklevel=4)
        setting = self.setting
        with self.meter.stage("means") as report:
            self.evaluator = Evaluator(
                setting.layered, setting.pairs, setting.mean_pairs, setting.metric, report
            )
        with self.meter.stage("pruning") as report:
            self.prunings, self.scores = prune_heads(
                self.evaluator, config, setting.workspace, report
            )

    def patch(self, rules: Sequence[SelectionRule], announce: Announce) -> list[Patched]:
        """Grow the circuit of every rule; without path patching, the candidates are each one."""
        setting, candidates = self.setting, merged_candidates(self.prunings)
        with self.meter.stage("patching") as report:
            if not setting.config.patches_paths:
                circuit = Circuit.of_heads(candidates or (), *setting.sizes)
                return [Patched(circuit, None) for _ in rules]
            patcher = PathPatcher(
                setting.layered, setting.pairs, candidates, setting.config, setting.workspace
            )
            announce(patcher.describe(self.meter.flops_per_second))
            return patcher.grow_all(rules, report)

    def evaluate(self, patched: Sequence[Patched]) -> list[float]:
        """Percent of performance that each circuit keeps."""
        with self.meter.stage("evaluation") as report:
            return self.evaluator.performances([found.circuit.heads for found in patched], report)

    def discovery(self, rule: SelectionRule, patched: Patched, performance: float) -> Discovery:
        """All there is to say about one of the circuits."""
        return Discovery(
            circuit=patched.circuit,
            performance=performance,
            behaviour=self.behaviour,
            prunings=self.prunings,
            scores=self.scores,
            effects=patched.effects,
            verification=patched.verification,
            cost=self.cost,
            config=replace(self.setting.config, selection=rule),
            provenance=self.setting.provenance(),
            evaluator=self.evaluator,
        )

    @property
    def cost(self) -> Cost:
        """Cost of the stages so far; the first ran clean and corrupted prompts once each."""
        return Cost(tuple(self.meter.stages), self.meter.stages[0].flops // 2)
