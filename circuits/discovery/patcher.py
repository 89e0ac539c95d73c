"""The second long stage: effects of the edges among some heads, and circuits found by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import Head, Node, Receiver
from circuits.discovery.session import Session
from circuits.patching import EdgeEstimates, EdgeSums, EdgeValues, MeasuredEffects, edge_sums
from circuits.patching.edge_values import node_mask
from circuits.patching.estimators import EdgeEstimator, estimators_of
from circuits.patching.measured import Elsewhere
from circuits.patching.paths import receiver_estimator
from circuits.patching.plan import Plan, plan_work
from circuits.patching.shared import OnPrompts, shared_effects, shared_sums
from circuits.runtime.progress import SILENT, Progress
from circuits.runtime.registry import Registry
from circuits.search import SEARCHES, Grown, SelectionRule, Verifier
from circuits.statistics.significance import size_p_values

_WHERE_P_VALUES_COME_FROM = "sweep"
"""An estimator that measures receivers alone tests none: its p-values are those of estimates."""


class EdgePatcher:
    """The `EdgeSource` of one session, among some of the model's heads.

    Attributes:
        heads: Which send and receive.
        nodes: The same, with MLPs and the embedding where these are nodes.

    """

    def __init__(self, session: Session, candidates: frozenset[Head] | None) -> None:
        """Effects among `candidates` (all heads without), by the engine of the settings."""
        self.session, self.candidates = session, candidates
        self.graph, self.settings = session.graph, session.config.search_settings
        self.heads = self.graph.known_heads(candidates)
        self.nodes = self.graph.with_others(self.heads)
        self._wider: EdgePatcher | None = None
        self._sums: EdgeSums | None = None
        self._estimates: EdgeEstimates | None = None
        self._p_values: dict[tuple[Receiver, float], Float[Tensor, " sender"]] = {}

    @property
    def is_exact(self) -> bool:
        """Whether every effect is measured when it is asked for."""
        return self._engines.get(self.session.config.engine).is_exact

    @property
    def _engines(self) -> Registry[EdgeEstimator]:
        return estimators_of(self.graph.mlps)

    def among(self, candidates: frozenset[Head] | None, *, verify: bool) -> EdgePatcher:
        """The same effects, computed once for both, restricted to some of the candidates."""
        fewer = EdgePatcher(self.session, candidates)
        fewer.settings, fewer._wider = replace(self.settings, verify=verify), self
        return fewer

    def describe(self, flops_per_second: float) -> str:
        """The plan in one line: how the work is split, and about what it will take."""
        plan, n_prompts = self._plan, len(self.session.pairs)
        what = f"path patching among {len(self.heads)} heads, {n_prompts} prompts"
        if self.graph.has_mlps:
            what = f"direct edges among {len(self.nodes)} nodes, {n_prompts} prompts"
        if self.is_exact:
            return f"{what}, receiver by receiver"
        batches = "1 batch" if plan.n_batches == 1 else f"{plan.n_batches} batches"
        seconds = plan.flops / max(flops_per_second, 1.0)
        return (
            f"{what} in {batches}: about {plan.n_bytes / 2**30:.1f} GiB and {seconds:.0f} s, "
            f"verification aside"
        )

    def find(self, rules: Sequence[SelectionRule], progress: Progress = SILENT) -> list[Grown]:
        """The circuits of several selection rules, which share every effect."""
        return SEARCHES.get(self.session.config.search_name).find(self, rules, progress)

    def estimates(self, progress: Progress = SILENT) -> EdgeEstimates:
        """Of every edge; made once."""
        if self._estimates is None:
            wider = self._wider
            whole = self.sums(progress).normalised() if wider is None else wider.estimates(progress)
            self._estimates = whole.among(self.nodes)
        return self._estimates

    def measured(
        self, receiver: Receiver, senders: Sequence[Node] | None = None
    ) -> Float[Tensor, " sender"]:
        """Exact effects of some senders on a receiver (all of the nodes without)."""
        return self._measured.into(receiver, self.nodes if senders is None else senders)

    def known(self) -> EdgeValues:
        """Every exact effect that was measured."""
        return self._measured.known

    def verifying(self, estimates: EdgeEstimates, n_sampled: int) -> Verifier:
        """A verifier that runs so many of the decided edges at random."""
        seed, precision = self.settings.seed, self.session.model.dtype
        return Verifier(estimates, self._measured.of, n_sampled, seed, precision)

    def p_values(self, receiver: Receiver, min_effect: float) -> Float[Tensor, " sender"]:
        """How likely estimates so large are by chance where no |effect| is above `min_effect`."""
        unit = self.graph.unit(receiver)
        if (unit, min_effect) not in self._p_values:
            if self._wider is None:
                changes, least = self.sums().changes.into(unit), min_effect * self._differences
                found = size_p_values(changes, least, self.settings.seed)
            else:
                found = self._wider.p_values(unit, min_effect)
            outside = ~node_mask(self.nodes, self.graph)[self.graph.below(unit)]
            self._p_values[unit, min_effect] = found.masked_fill(outside, torch.nan)
        return self._p_values[unit, min_effect]

    @cached_property
    def _differences(self) -> Float[Tensor, " prompt"]:
        """What each prompt adds to the difference that effects are shares of."""
        activations = self.session.activations
        differences = activations.clean_metric.double() - activations.corrupted_metric.double()
        return differences * differences.sum().sign()

    def sums(self, progress: Progress = SILENT) -> EdgeSums:
        """Every edge's estimate, prompt by prompt; made once."""
        if self._sums is None:
            self._sums = self._estimated(progress)
        return self._sums

    def _estimated(self, progress: Progress) -> EdgeSums:
        estimator, store = self._estimator, self.session.store
        among_all = store.estimates(estimator.name, _key(None))
        if among_all is not None and among_all.is_whole:
            return among_all
        key = _key(None if self.candidates is None else self.heads)
        begun = among_all if self.candidates is None else store.estimates(estimator.name, key)
        if begun is None and self.session.sharing is not None:
            given = estimator.name, self._memory, self.graph.mlps
            on = OnPrompts.of(self.session.activations, *given)
            sums, parts = shared_sums(on, self.heads, self.session.sharing, progress)
            store.keep_estimates(estimator.name, key, sums)
            self.session.sharing.forget(parts)
            return sums
        return edge_sums(
            self.session.activations,
            estimator,
            self.heads,
            self._plan,
            progress,
            begun=begun,
            keep=lambda sums: store.keep_estimates(estimator.name, key, sums),
            mlps=self.graph.mlps,
        )

    @property
    def _estimator(self) -> EdgeEstimator:
        name = _WHERE_P_VALUES_COME_FROM if self.is_exact else self.session.config.engine
        return self._engines.get(name)

    @cached_property
    def _plan(self) -> Plan:
        session = self.session
        return plan_work(session.model, session.pairs, self.nodes, self._memory)

    @cached_property
    def _measured(self) -> MeasuredEffects:
        """Exact effects; what verifies estimates of lower precision is float32."""
        if self._wider is not None:
            return self._wider._measured
        session = self.session
        return MeasuredEffects(
            session.exact_activations,
            receiver_estimator(self._exact_engine, self.graph.mlps),
            session.store.known,
            self._memory,
            session.store.learn,
            self._elsewhere(),
        )

    def _elsewhere(self) -> Elsewhere | None:
        """Workers, where there are any; these load a model in its own precision alone."""
        session, sharing = self.session, self.session.sharing
        if sharing is None or session.exact_activations is not session.activations:
            return None
        on = OnPrompts.of(session.activations, self._exact_engine, self._memory, self.graph.mlps)
        return lambda receiver, groups: shared_effects(on, receiver, groups, sharing)

    @property
    def _exact_engine(self) -> str:
        return self.session.config.engine if self.is_exact else "exact"

    @property
    def _memory(self) -> int | None:
        return self.session.config.memory_bytes


def _key(heads: Sequence[Head] | None) -> dict[str, Any]:
    """What estimates depend on, beside the store: the heads they are among (None: all)."""
    return {"candidates": None if heads is None else [str(head) for head in heads]}
