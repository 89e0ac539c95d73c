"""A discovery under way: the stages in their order, and the result of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

from circuits.behaviour import WeakTaskWarning, measure_behaviour
from circuits.circuit import Circuit
from circuits.components import Head
from circuits.cost import Cost, CostMeter
from circuits.evaluation import Evaluator
from circuits.result import Discovery, merged_candidates
from circuits.search import SelectionRule
from circuits.setting import Setting
from circuits.stages import Patched, PathPatcher, prune_heads

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
        setting: Setting,
        progress: Progress = lambda stage, fraction: None,
        announce: Announce = lambda line: None,
    ) -> None:
        """Test the model, take mean head outputs, and prune."""
        self.setting, self.announce = setting, announce
        self.meter = CostMeter(progress)
        if setting.replaced:
            announce(
                f"{setting.workspace.directory} holds effects of {setting.replaced}: "
                "the run begins anew and replaces them"
            )
        with self.meter.stage("behaviour") as report:
            self.behaviour = measure_behaviour(
                setting.bridge, setting.pairs, setting.metric, progress=report
            )
        if self.behaviour.weakness:
            message = (
                f"a circuit for {setting.task.name} on this model means little: "
                f"{self.behaviour.weakness}"
            )
            warnings.warn(message, WeakTaskWarning, stacklevel=4)
        with self.meter.stage("means") as report:
            self.evaluator = Evaluator(
                setting.layered, setting.pairs, setting.mean_pairs, setting.metric, report
            )
        with self.meter.stage("pruning") as report:
            self.prunings, self.scores = prune_heads(
                self.evaluator, setting.config, setting.workspace, report
            )

    def patch(self, rules: Sequence[SelectionRule]) -> list[Patched]:
        """Grow the circuit of every rule; without path patching, the candidates are each one."""
        candidates = merged_candidates(self.prunings)
        with self.meter.stage("patching") as report:
            if not self.setting.config.patches_paths:
                circuit = Circuit.of_heads(candidates or (), *self.setting.sizes)
                return [Patched(circuit, None) for _ in rules]
            return self.patcher(candidates).grow_all(rules, report)

    def patcher(self, candidates: frozenset[Head] | None) -> PathPatcher:
        """Path effects among some heads; announces what they will take."""
        setting = self.setting
        patcher = PathPatcher(
            setting.layered, setting.pairs, candidates, setting.config, setting.workspace
        )
        self.announce(patcher.describe(self.meter.flops_per_second))
        return patcher

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
            task=self.setting.task,
        )

    @property
    def cost(self) -> Cost:
        """Cost of the stages so far; the first ran clean and corrupted prompts once each."""
        return Cost(tuple(self.meter.stages), self.meter.stages[0].flops // 2)
