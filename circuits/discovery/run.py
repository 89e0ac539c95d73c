"""A discovery under way: the stages in their order, and the result of them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

from circuits.behaviour import Verdict, WeakTaskWarning, measure_behaviour
from circuits.circuit import Circuit
from circuits.components import Head
from circuits.discovery.patcher import Patched, PathPatcher, prune_heads
from circuits.discovery.result import Discovery, merged_candidates
from circuits.discovery.session import Setting
from circuits.evaluation import Evaluator
from circuits.runtime.cost import Cost, CostMeter
from circuits.search.grow import SelectionRule
from circuits.search.significant import check_power

Progress = Callable[[str, float], None]
Announce = Callable[[str], None]
STAGES = ("behaviour", "means", "pruning", "patching", "evaluation")


class Run:
    """What every search does first, and what it makes a `Discovery` of in the end.

    Where the verdict on the model's behaviour refuses a search, there are no stages but the first,
    and every circuit is empty.

    Warns:
        WeakTaskWarning: The model does not do the task well, so that a circuit means little.

    """

    def __init__(
        self,
        setting: Setting,
        progress: Progress = lambda stage, fraction: None,
        announce: Announce = lambda line: None,
    ) -> None:
        """Test the model; unless there is no circuit, take mean head outputs, and prune."""
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
        self.verdict = self._judged()
        self.prunings, self.scores = {}, {}
        self._evaluator: Evaluator | None = None
        if self.verdict.refuses:
            return
        if self.behaviour.weakness:
            message = (
                f"a circuit for {setting.task.name} on this model means little: "
                f"{self.behaviour.weakness}"
            )
            warnings.warn(message, WeakTaskWarning, stacklevel=4)
        with self.meter.stage("means") as report:
            self._evaluator = Evaluator(
                setting.layered, setting.pairs, setting.mean_pairs, setting.metric, report
            )
        with self.meter.stage("pruning") as report:
            self.prunings, self.scores = prune_heads(
                self.evaluator, setting.config, setting.workspace, report
            )

    @property
    def evaluator(self) -> Evaluator:
        """The model on the prompts. Raises ValueError where there is no circuit to evaluate."""
        if self._evaluator is None:
            raise ValueError(f"there is no circuit to evaluate: {self.verdict.reason}")
        return self._evaluator

    def _judged(self) -> Verdict:
        verdict = self.behaviour.verdict
        if verdict.refuses and self.setting.config.ignore_behaviour:
            return Verdict("ignored", verdict.reason)
        return verdict

    def discover(self) -> Discovery:
        """What the settings' own rule finds."""
        rule = self.setting.config.selection
        (patched,) = self.patch([rule])
        (performance,) = self.evaluate([patched])
        return self.discovery(rule, patched, performance)

    def patch(self, rules: Sequence[SelectionRule]) -> list[Patched]:
        """Grow the circuit of every rule; without path patching, the candidates are each one.

        Raises ValueError where there are too few prompts for a rule's significance test.
        """
        if self.verdict.refuses:
            return [Patched(Circuit.of_heads((), *self.setting.sizes), None) for _ in rules]
        candidates = merged_candidates(self.prunings)
        with self.meter.stage("patching") as report:
            if not self.setting.config.patches_paths:
                circuit = Circuit.of_heads(candidates or (), *self.setting.sizes)
                return [Patched(circuit, None) for _ in rules]
            patcher = self.patcher(candidates)
            for rule in rules:
                check_power(rule, len(patcher.pairs), len(patcher.heads))
            return patcher.grow_all(rules, report)

    def patcher(self, candidates: frozenset[Head] | None) -> PathPatcher:
        """Path effects among some heads; announces what they will take."""
        setting = self.setting
        patcher = PathPatcher(
            setting.layered, setting.pairs, candidates, setting.config, setting.workspace
        )
        self.announce(patcher.describe(self.meter.flops_per_second))
        return patcher

    def evaluate(self, patched: Sequence[Patched]) -> list[float]:
        """Percent of performance that each circuit keeps; NaN where there was none to find."""
        if self.verdict.refuses:
            return [math.nan for _ in patched]
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
            verdict=self.verdict,
            cost=self.cost,
            config=replace(self.setting.config, selection=rule),
            provenance=self.setting.provenance(),
            evaluator=self._evaluator,
            task=self.setting.task,
        )

    @property
    def cost(self) -> Cost:
        """Cost of the stages so far; the first ran clean and corrupted prompts once each."""
        return Cost(tuple(self.meter.stages), self.meter.stages[0].flops // 2)
