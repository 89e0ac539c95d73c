"""Path effects, shared out: a sweep by prompts, exact effects on a receiver by senders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from circuits.components import Head, Node, Receiver
from circuits.forward import Activations
from circuits.graph import Mlps
from circuits.metrics import get_metric, metric_name
from circuits.model import ModelIdentity, identify, model_of
from circuits.patching.edge_values import EdgeValues
from circuits.patching.estimators import estimators_of
from circuits.patching.measured import MeasuredEffects
from circuits.patching.paths import edge_sums, receiver_estimator
from circuits.patching.plan import plan_work
from circuits.patching.sums import EdgeSums
from circuits.runtime.progress import SILENT, Progress
from circuits.runtime.sharing import Sharing, last_used
from circuits.tasks import PromptPairs

PROMPTS_EACH = 4
"""Prompts of a part of a sweep, however many workers there are."""


@dataclass(frozen=True, eq=False)
class OnPrompts:
    """A model on some prompts, and how effects are found there, as data.

    Attributes:
        model: Which, by name and weights.
        pairs: The prompts.
        metric: Name of the metric.
        engine: Name of the estimator.
        memory_bytes: About how much memory to use; a safe share of what is free without.
        mlps: Whether MLPs belong to the paths, or are nodes.

    """

    model: ModelIdentity
    pairs: PromptPairs
    metric: str
    engine: str
    memory_bytes: int | None
    mlps: Mlps = "path"

    @classmethod
    def of(
        cls,
        activations: Activations,
        engine: str,
        memory_bytes: int | None,
        mlps: Mlps = "path",
    ) -> OnPrompts:
        """The model and the prompts that activations are of."""
        model, metric = identify(activations.model.bridge), metric_name(activations.metric)
        return cls(model, activations.pairs.to("cpu"), metric, engine, memory_bytes, mlps)

    @property
    def key(self) -> dict[str, Any]:
        """All that effects depend on."""
        key = {
            "model": self.model.weight_hash,
            "prompts": self.pairs.digest,
            "metric": self.metric,
            "engine": self.engine,
        }
        return key if self.mlps == "path" else {**key, "mlps": self.mlps}

    def activations(self) -> Activations:
        """Load the model. Raises ModelError, and MismatchError for other weights."""
        return Activations(model_of(self.model), self.pairs, get_metric(self.metric))


@dataclass(frozen=True, eq=False)
class SweepPart:
    """What an estimator finds of all edges among some heads, on some of the prompts."""

    on: OnPrompts
    heads: tuple[Head, ...]

    @property
    def key(self) -> dict[str, Any]:
        """All that the sums depend on."""
        return {**self.on.key, "heads": [str(head) for head in self.heads]}

    def __call__(self, progress: Progress) -> dict[str, Tensor]:
        """The tensors of the sums."""
        on, activations = self.on, self.on.activations()
        nodes = activations.graph(on.mlps).with_others(self.heads)
        plan = plan_work(activations.model, on.pairs, nodes, on.memory_bytes)
        estimator = estimators_of(on.mlps).get(on.engine)
        found = edge_sums(activations, estimator, self.heads, plan, progress, mlps=on.mlps)
        return found.tensors()


@dataclass(frozen=True, eq=False)
class ExactPart:
    """Exact effects of some senders on one receiver."""

    on: OnPrompts
    receiver: Receiver
    senders: tuple[Node, ...]

    @property
    def key(self) -> dict[str, Any]:
        """All that the effects depend on."""
        senders = [str(sender) for sender in self.senders]
        return {**self.on.key, "receiver": str(self.receiver), "senders": senders}

    def __call__(self, progress: Progress) -> dict[str, Tensor]:
        """`effects`, one for each sender."""
        effects = last_used(str(self.on.key), self._measured).measure(self.receiver, self.senders)
        return {"effects": torch.tensor(effects, dtype=torch.float64)}

    def _measured(self) -> MeasuredEffects:
        on, activations = self.on, self.on.activations()
        unknown = EdgeValues.unknown(activations.graph(on.mlps))
        estimator = receiver_estimator(on.engine, on.mlps)
        return MeasuredEffects(activations, estimator, unknown, on.memory_bytes)


def shared_sums(
    on: OnPrompts, heads: tuple[Head, ...], sharing: Sharing, progress: Progress = SILENT
) -> tuple[EdgeSums, list[SweepPart]]:
    """The sums of `edge_sums`, and their parts, which can be forgotten when the sums are kept.

    Prompts of about the same length are swept together.
    """
    order = torch.argsort(on.pairs.end, stable=True).split(PROMPTS_EACH)
    parts = [SweepPart(replace(on, pairs=on.pairs[rows]), heads) for rows in order]
    found, graph = sharing.run(parts, progress), on.model.graph(on.mlps)
    sums = [EdgeSums.of_tensors(graph, tensors) for tensors in found]
    return EdgeSums.joined(list(zip(order, sums, strict=True))), parts


def shared_effects(
    on: OnPrompts, receiver: Receiver, groups: Sequence[tuple[Node, ...]], sharing: Sharing
) -> list[list[float]]:
    """The exact effects of each group of senders on a receiver."""
    parts = [ExactPart(on, receiver, group) for group in groups]
    found = [tensors["effects"].tolist() for tensors in sharing.run(parts)]
    sharing.forget(parts)
    return found
