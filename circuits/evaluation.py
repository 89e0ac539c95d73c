"""How good a circuit is: what it keeps alone, and what the model loses without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from circuits.ablation import MeanOutputs, Progress, ablated_metric
from circuits.circuit import Circuit
from circuits.components import Head, all_heads
from circuits.metrics import Metric, logit_diff
from circuits.model import LayeredModel, TransformerBridge
from tasks import PromptPairs


@dataclass(frozen=True)
class Evaluation:
    """Figures of a circuit under mean ablation, in percent of the full model's metric.

    Attributes:
        performance: Metric with every head outside the circuit replaced by its mean.
        sparsity: Share of the model's heads outside the circuit (0 to 1).
        completeness: Metric with the circuit's own heads replaced; near 0 for a complete circuit.
        minimality: What removing each head alone costs, in points of performance.
        n_prompts: Prompts the figures are means over.

    """

    performance: float
    sparsity: float
    completeness: float
    minimality: dict[Head, float]
    n_prompts: int


class Evaluator:
    """Performance of sets of heads on fixed prompts, in percent of the full model's metric."""

    def __init__(
        self,
        model: TransformerBridge | LayeredModel,
        pairs: PromptPairs,
        mean_pairs: PromptPairs | None = None,
        metric: Metric = logit_diff,
        progress: Progress = lambda fraction: None,
    ) -> None:
        """Take the means over the corrupted prompts of `mean_pairs` (of `pairs` without).

        Raises:
            ValueError: The full model's metric is 0, so that nothing can be a share of it.

        """
        self.model = model if isinstance(model, LayeredModel) else LayeredModel.of(model)
        self.pairs, self.metric = pairs, metric
        mean_pairs = pairs if mean_pairs is None else mean_pairs
        self.means = MeanOutputs.of(self.model, mean_pairs, progress=progress)
        self._known: dict[frozenset[Head], float] = {}
        everything = frozenset(all_heads(self.model.n_layers, self.model.n_heads))
        self.full_metric = float(self._metric([everything]).double().mean())
        if self.full_metric == 0:
            raise ValueError(
                "the full model's metric is 0 on these prompts: no share can be taken of it"
            )
        self._known[everything] = 100.0

    def performances(
        self,
        circuits: Sequence[frozenset[Head]],
        progress: Progress = lambda fraction: None,
    ) -> list[float]:
        """Percent of the full model's metric that each set of heads keeps alone."""
        new = list(dict.fromkeys(heads for heads in circuits if heads not in self._known))
        if new:
            means = self._metric(new, progress).double().mean(-1) / self.full_metric * 100
            self._known.update(zip(new, means.tolist(), strict=True))
        return [self._known[heads] for heads in circuits]

    def performance(self, heads: frozenset[Head]) -> float:
        """Percent of the full model's metric that these heads keep alone."""
        return self.performances([heads])[0]

    def evaluate(self, circuit: Circuit) -> Evaluation:
        """All figures of one circuit."""
        everything = frozenset(all_heads(self.model.n_layers, self.model.n_heads))
        heads = sorted(circuit.heads)
        alone, without, *smaller = self.performances(
            [circuit.heads, everything - circuit.heads, *(circuit.heads - {head} for head in heads)]
        )
        return Evaluation(
            performance=alone,
            sparsity=circuit.sparsity,
            completeness=without,
            minimality={head: alone - left for head, left in zip(heads, smaller, strict=True)},
            n_prompts=len(self.pairs),
        )

    def _metric(
        self,
        circuits: Sequence[frozenset[Head]],
        progress: Progress = lambda fraction: None,
    ) -> Float[Tensor, "circuit prompt"]:
        measured = ablated_metric(
            self.model, self.pairs, self.means, circuits, self.metric, progress=progress
        )
        return measured.cpu()
