"""The metric of many sets of heads, shared out by circuits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.ablation import MeanOutputs
from circuits.components import Head
from circuits.evaluation.config import Ablation
from circuits.evaluation.evaluator import run_circuits
from circuits.forward import LayeredModel
from circuits.metrics import get_metric
from circuits.model import ModelIdentity, model_of
from circuits.runtime.progress import Progress
from circuits.runtime.sharing import Sharing, last_used
from circuits.tasks import PromptPairs

CIRCUITS_EACH = 8
"""Circuits of a part, however many workers there are."""


@dataclass(frozen=True, eq=False)
class MetricsPart:
    """The metric of each prompt with the heads outside some circuits replaced.

    Attributes:
        model: Which, by name and weights.
        pairs: The prompts.
        mean_pairs: The prompts that means are taken over.
        metric: Name of the metric.
        circuits: Heads kept.
        ablation: What the others are replaced by.

    """

    model: ModelIdentity
    pairs: PromptPairs
    mean_pairs: PromptPairs
    metric: str
    circuits: tuple[frozenset[Head], ...]
    ablation: Ablation

    @property
    def key(self) -> dict[str, Any]:
        """All that the metric depends on."""
        return {
            "model": self.model.weight_hash,
            "prompts": self.pairs.digest,
            "means": self.mean_pairs.digest,
            "metric": self.metric,
            "circuits": [[str(head) for head in sorted(heads)] for heads in self.circuits],
            "ablation": self.ablation,
        }

    def __call__(self, progress: Progress) -> dict[str, Tensor]:
        """`metric`, by circuit and prompt."""
        model, means = last_used(f"{self.model} {self.mean_pairs.digest}", self._prepared)
        metric = get_metric(self.metric)
        given = self.circuits, self.ablation, progress
        return {"metric": run_circuits(model, self.pairs, means, metric, *given)}

    def _prepared(self) -> tuple[LayeredModel, MeanOutputs]:
        model = LayeredModel.of(model_of(self.model))
        return model, MeanOutputs.of(model, self.mean_pairs)


@dataclass(frozen=True, eq=False)
class SharedMetrics:
    """An evaluator's runs elsewhere.

    Attributes:
        model: Which, by name and weights.
        mean_pairs: The prompts that means are taken over.
        metric: Name of the metric.
        sharing: The workers.

    """

    model: ModelIdentity
    mean_pairs: PromptPairs
    metric: str
    sharing: Sharing

    def __call__(
        self,
        pairs: PromptPairs,
        circuits: Sequence[frozenset[Head]],
        ablation: Ablation,
        progress: Progress,
    ) -> Float[Tensor, "circuit prompt"] | None:
        """The metric of each circuit and prompt; None for so few that they are no work to share."""
        if len(circuits) <= CIRCUITS_EACH:
            return None
        # Those that keep the same heads of low layers share the work of these.
        order = sorted(range(len(circuits)), key=lambda place: sorted(circuits[place]))
        places = torch.tensor(order).split(CIRCUITS_EACH)
        on = self.model, pairs.to("cpu"), self.mean_pairs.to("cpu"), self.metric
        parts = [
            MetricsPart(*on, tuple(circuits[place] for place in some.tolist()), ablation)
            for some in places
        ]
        found = torch.cat([each["metric"] for each in self.sharing.run(parts, progress)])
        return found[torch.cat(places).argsort()]
