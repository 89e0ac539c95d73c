"""A discovery under way: the stages in their order, and the result of them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import torch

from circuits.behaviour import Verdict, WeakTaskWarning, measure_behaviour
from circuits.circuit import Circuit, edge_mask
from circuits.components import Head
from circuits.discovery.choose import Chooser, with_held_out
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.edges import choose_edges
from circuits.discovery.patcher import EdgePatcher
from circuits.discovery.prune import prune_heads
from circuits.discovery.rankings import ONCE, lowest, rank_heads
from circuits.discovery.result import Discovery
from circuits.discovery.session import Session
from circuits.errors import InputError
from circuits.evaluation import EdgeEvaluator, Evaluator
from circuits.evaluation.contributions import measure_contributions
from circuits.pruning import merged_candidates
from circuits.runtime.cost import Cost, CostMeter
from circuits.runtime.progress import SILENT, Progress
from circuits.search import Grown, SelectionRule
from circuits.search.significant import check_power

STAGES = ("behaviour", "means", "pruning", "patching", "evaluation")
"""Of methods that prune, or patch all paths."""


def stages_of(config: DiscoveryConfig) -> tuple[str, ...]:
    """What a discovery goes through, in order.

    >>> stages_of(DiscoveryConfig(method="in-context"))
    ('behaviour', 'means', 'pruning', 'validation', 'patching', 'evaluation')
    """
    if config.has_mlps:
        pruning = ("means", "pruning") if config.scorers else ()
        found = ("ranking", "validation") if config.chooses_edges else ("patching",)
        return ("behaviour", *pruning, *found, "evaluation")
    before, behind = STAGES[:3], STAGES[3:]
    return (*before, "validation", *behind) if config.recipe.chooses else STAGES


class Pipeline:
    """What every search does first, and what it makes a `Discovery` of in the end.

    Where the verdict on the model's behaviour refuses a search, there are no stages but the first,
    and every circuit is empty.

    Warns:
        WeakTaskWarning: The model does not do the task well, so that a circuit means little.

    """

    def __init__(self, session: Session, progress: Progress = SILENT) -> None:
        """Test the model; unless there is no circuit, take mean head outputs, and prune."""
        self.session, self.progress = session, progress
        self.spent = session.spent()
        self.meter = CostMeter(progress, spent=self.spent.add)
        session.store.on_keep = self.meter.tell
        if session.sharing is not None:
            session.sharing.on_flops = self.meter.add_flops
        if session.config.recipe.chooses:
            # A task that has too few prompts is refused before anything is run.
            _ = session.other_pairs
        if session.replaced:
            progress.note(
                f"{session.store.directory} holds effects of {session.replaced}: "
                "the run begins anew and replaces them"
            )
        with self.meter.stage("behaviour") as part:
            self.behaviour = measure_behaviour(
                session.bridge, session.pairs, session.metric, progress=part
            )
        self.verdict = self._judged()
        self.prunings, self.scores = {}, {}
        self._evaluator: Evaluator | None = None
        if self.verdict.refuses:
            return
        if self.behaviour.weakness:
            message = (
                f"a circuit for {session.task.name} on this model means little: "
                f"{self.behaviour.weakness}"
            )
            warnings.warn(message, WeakTaskWarning, stacklevel=4)
        if session.config.has_mlps and not session.config.scorers:
            return
        with self.meter.stage("means") as part:
            self._evaluator = session.evaluator(part)
        if session.config.has_mlps or not session.config.recipe.chooses:
            with self.meter.stage("pruning") as part:
                self.prunings, self.scores = prune_heads(session, self.evaluator, part)

    @property
    def evaluator(self) -> Evaluator:
        """The model on the prompts. Raises InputError where there is no circuit to evaluate."""
        if self._evaluator is None:
            raise InputError(f"there is no circuit to evaluate: {self.verdict.reason}")
        return self._evaluator

    def _judged(self) -> Verdict:
        verdict = self.behaviour.verdict
        if verdict.refuses and self.session.config.ignore_behaviour:
            return Verdict("ignored", verdict.reason)
        return verdict

    def discover(self) -> Discovery:
        """What the settings' own rule finds."""
        rule = self.session.config.selection
        if self.session.config.chooses_edges and not self.verdict.refuses:
            return self._chosen_edges(rule)
        if self.session.config.recipe.chooses and not self.verdict.refuses:
            return self._chosen(rule)
        (grown,) = self.patch([rule])
        (performance,) = self.evaluate([grown])
        return self.discovery(rule, grown, performance)

    def _chosen(self, rule: SelectionRule) -> Discovery:
        """The smallest circuit that keeps enough, its paths, and what it keeps elsewhere."""
        session, config = self.session, self.session.config
        assert config.keep is not None
        with self.meter.stage("pruning") as part:
            ranked = rank_heads(session, self.evaluator, config.keep, part)
        self.scores = {ONCE: ranked.scores}
        validation, held_out = map(self.evaluator.on, session.other_pairs)
        with self.meter.stage("validation") as progress:
            first, second = progress.parts(0.7, 0.3)
            # Nothing that ranking ran: a run that goes on ends with the same digits.
            search = self.evaluator.on(session.pairs)
            sizes = Chooser(config.keep, search, validation).choose(ranked.orders, first)
            heads = sizes.point.heads
            opposing = lowest(ranked.scores)
            worth = measure_contributions(heads, opposing, validation, search, second)
        with self.meter.stage("patching") as part:
            (grown,) = self.patcher(heads).find([rule], part)
        with self.meter.stage("evaluation") as part:
            sizes = with_held_out(sizes, held_out, part)
        assert sizes.point.held_out is not None
        found = self.discovery(rule, grown, sizes.point.held_out.value)
        return replace(found, sizes=sizes, contributions=worth)

    def _chosen_edges(self, rule: SelectionRule) -> Discovery:
        """The smallest circuit of edges that keeps enough, and what it keeps elsewhere."""
        chosen = choose_edges(self.session, self.meter, merged_candidates(self.prunings))
        held_out = chosen.sizes.point.held_out
        assert held_out is not None
        found = self.discovery(rule, Grown(chosen.circuit, None), held_out.value)
        return replace(
            found,
            scores={**found.scores, **chosen.of_heads},
            sizes=chosen.sizes,
            rankings=chosen.rankings,
            edge_worth=chosen.worth,
        )

    def patch(self, rules: Sequence[SelectionRule]) -> list[Grown]:
        """Find the circuit of every rule; without path patching, the candidates are each one.

        Raises SettingError where there are too few prompts for a rule's significance test.
        """
        graph = self.session.graph
        if self.verdict.refuses:
            nothing = Circuit.empty(graph)
            return [Grown(nothing, None) for _ in rules]
        candidates = merged_candidates(self.prunings)
        with self.meter.stage("patching") as part:
            if not self.session.config.patches_paths:
                circuit = Circuit.of_heads(candidates or (), graph.n_layers, graph.n_heads)
                return [Grown(circuit, None) for _ in rules]
            patcher = self.patcher(candidates)
            for rule in rules:
                check_power(rule, len(self.session.pairs), len(patcher.nodes))
            return patcher.find(rules, part)

    def patcher(self, candidates: frozenset[Head] | None) -> EdgePatcher:
        """Effects of the edges among some heads; says what they will take."""
        patcher = EdgePatcher(self.session, candidates)
        self.progress.note(patcher.describe(self.meter.flops_per_second))
        return patcher

    def evaluate(self, grown: Sequence[Grown]) -> list[float]:
        """Percent of performance that each circuit keeps; NaN where there was none to find."""
        if self.verdict.refuses:
            return [math.nan for _ in grown]
        with self.meter.stage("evaluation") as part:
            return self.performances([found.circuit for found in grown], part)

    def performances(self, circuits: Sequence[Circuit], progress: Progress = SILENT) -> list[float]:
        """Percent that circuits keep on the discovery's prompts.

        Of the metric, with all heads outside replaced by their means; where MLPs and the embedding
        are nodes, of what corrupting every edge takes away, with all edges outside corrupted.
        """
        if not self.session.config.has_mlps:
            return self.evaluator.performances([circuit.heads for circuit in circuits], progress)
        masks = torch.stack([edge_mask(circuit, self.session.graph) for circuit in circuits])
        return [100 * kept.value for kept in self._edges.faithfulness(masks, progress=progress)]

    @cached_property
    def _edges(self) -> EdgeEvaluator:
        session = self.session
        on = session.model, session.pairs, session.metric
        return EdgeEvaluator(*on, session.activations)

    def discovery(self, rule: SelectionRule, grown: Grown, performance: float) -> Discovery:
        """All there is to say about one of the circuits."""
        return Discovery(
            circuit=grown.circuit,
            performance=performance,
            behaviour=self.behaviour,
            prunings=self.prunings,
            scores=self.scores,
            effects=grown.effects,
            verification=grown.verification,
            verdict=self.verdict,
            cost=self.cost,
            config=replace(self.session.config, selection=rule),
            provenance=self.session.problem.provenance(),
        )

    @property
    def cost(self) -> Cost:
        """Cost of the stages so far; the first ran clean and corrupted prompts once each."""
        stages = tuple(self.meter.stages)
        return Cost(stages, stages[0].flops // 2, self.spent.earlier)
