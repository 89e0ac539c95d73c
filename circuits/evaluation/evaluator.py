"""The metric of sets of heads on fixed prompts, every set run once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.ablation import (
    CorruptedOutputs,
    MeanOutputs,
    ZeroOutputs,
    ablated_metric,
    edge_ablated_metric,
)
from circuits.circuit import Circuit, edge_mask
from circuits.components import Head, all_heads
from circuits.errors import NoEffectError
from circuits.evaluation.config import Ablation
from circuits.evaluation.edge_evaluator import EdgeEvaluator
from circuits.forward import Activations, LayeredModel, TransformerBridge
from circuits.graph import Mlps
from circuits.metrics import Metric, logit_diff
from circuits.runtime.progress import SILENT, Progress
from circuits.tasks import PromptPairs

_PROMPTS_RESAMPLED_TOGETHER = 32
Elsewhere = Callable[
    [PromptPairs, Sequence[frozenset[Head]], Ablation, Progress],
    Float[Tensor, "circuit prompt"] | None,
]
"""Runs many circuits in other places; None for so few that this process shall do it."""


class Evaluator:
    """The metric of sets of heads on fixed prompts, with all other heads replaced.

    A set that was run once is not run again.

    Attributes:
        model: The model in pieces.
        pairs: The prompts.
        metric: From logits at the answers to one number per prompt.
        means: Mean head outputs, for mean ablation.
        full_metric: The full model's metric, a mean over the prompts.

    >>> evaluator = Evaluator(model, pairs)
    >>> evaluator.performance(evaluator.everything)
    100.0
    >>> evaluator.performance(circuit.heads) > evaluator.performance(frozenset())
    True
    """

    def __init__(
        self,
        model: TransformerBridge | LayeredModel,
        pairs: PromptPairs,
        mean_pairs: PromptPairs | None = None,
        metric: Metric = logit_diff,
        progress: Progress = SILENT,
        activations: Activations | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """Take the means over the corrupted prompts of `mean_pairs` (of `pairs` without).

        Args:
            model: A TransformerBridge, or its pieces.
            pairs: The prompts.
            mean_pairs: The prompts that means are taken over.
            metric: From logits at the answers to one number per prompt.
            progress: Hears of the fraction of the means that is done.
            activations: Of `pairs`, where they are known; `mean_pairs` must begin with them.
            elsewhere: Runs many circuits at once; done here without.

        Raises:
            NoEffectError: The full model's metric is 0, so that nothing can be a share of it.

        """
        self.model = LayeredModel.of(model)
        self.pairs, self.metric, self._elsewhere = pairs, metric, elsewhere
        mean_pairs = pairs if mean_pairs is None else mean_pairs
        self.means = MeanOutputs.of(self.model, mean_pairs, activations, progress)
        self._known: dict[tuple[Ablation, frozenset[Head]], Float[Tensor, " prompt"]] = {}
        self._edges: EdgeEvaluator | None = None
        if activations is not None:
            self._edges = EdgeEvaluator(self.model, pairs, metric, activations)
            self._known["mean", self.everything] = activations.clean_metric.double()
        self.full_metric = self._full_metric()

    def on(self, pairs: PromptPairs) -> Evaluator:
        """The same model, metric and means on other prompts.

        Raises:
            NoEffectError: The full model's metric is 0 on them.
            MismatchError: The means are not of their templates.

        """
        other = copy(self)
        full = "mean", self.everything
        other.pairs = pairs
        other._known = {full: self._known[full]} if pairs is self.pairs else {}
        other.means.for_prompts(pairs)
        other.full_metric = other._full_metric()
        return other

    @property
    def everything(self) -> frozenset[Head]:
        """All heads of the model."""
        return frozenset(all_heads(self.model.n_layers, self.model.n_heads))

    def metrics(
        self,
        circuits: Sequence[frozenset[Head]],
        ablation: Ablation = "mean",
        progress: Progress = SILENT,
    ) -> Float[Tensor, "circuit prompt"]:
        """The metric of each prompt when every head outside a set of heads is replaced.

        Args:
            circuits: The heads kept, for each of several circuits.
            ablation: By what the others are replaced: the "mean" over corrupted prompts of the
                same template and position, their output on the pair's own corrupted prompt
                ("resample"), or "zero".
            progress: Hears of the fraction done.

        """
        # Nothing is replaced in the full model, whatever by.
        everything = self.everything
        named: list[tuple[Ablation, frozenset[Head]]] = [
            ("mean" if heads == everything else ablation, heads) for heads in circuits
        ]
        new = list(dict.fromkeys(heads for key, heads in named if (key, heads) not in self._known))
        if new:
            found = self.run(self.pairs, new, ablation, progress).cpu().double()
            self._known.update({(ablation, heads): found[row] for row, heads in enumerate(new)})
        known = [self._known[key] for key in named]
        return torch.stack(known) if known else torch.empty(0, len(self.pairs)).double()

    def edge_metrics(
        self, circuit: Circuit, progress: Progress = SILENT
    ) -> Float[Tensor, " prompt"]:
        """The metric of each prompt when every path that is no edge of a circuit is corrupted.

        Where MLPs are nodes of the circuit, every edge of that graph which is none of its own.

        Raises:
            MismatchError: The circuit is one of a model of another size, or of other spans than
                the prompts have.

        """
        if circuit.mlps == "nodes":
            edges = edge_mask(circuit, self.on_edges.graph)
            return self.on_edges.metrics(edges[None], progress)[0]
        found = edge_ablated_metric(
            self.model, self.pairs, circuit.edges, self.metric, progress=progress
        )
        return found.cpu().double()

    def edge_baselines(self, mlps: Mlps = "path") -> Float[Tensor, "2 prompt"]:
        """The metric of each prompt with all paths corrupted, and that of the whole model.

        Args:
            mlps: What MLPs are: where they belong to paths, all heads give their corrupted output.

        """
        if mlps == "nodes":
            return self.on_edges.baselines
        return self.metrics([frozenset(), self.everything], "resample")

    @property
    def on_edges(self) -> EdgeEvaluator:
        """The test of direct edges on the same prompts, where MLPs are nodes."""
        if self._edges is None or self._edges.pairs is not self.pairs:
            self._edges = EdgeEvaluator(self.model, self.pairs, self.metric)
        return self._edges

    def performances(
        self,
        circuits: Sequence[frozenset[Head]],
        progress: Progress = SILENT,
    ) -> list[float]:
        """Percent of the full model's metric that each set of heads keeps under mean ablation."""
        means = self.metrics(circuits, progress=progress).mean(-1)
        return (means / self.full_metric * 100).tolist()

    def performance(self, heads: frozenset[Head]) -> float:
        """Percent of the full model's metric that these heads keep under mean ablation."""
        return self.performances([heads])[0]

    def _full_metric(self) -> float:
        full = float(self.metrics([self.everything])[0].mean())
        if full == 0:
            raise NoEffectError(
                "the full model's metric is 0 on these prompts: no share can be taken of it"
            )
        return full

    def run(
        self,
        pairs: PromptPairs,
        circuits: Sequence[frozenset[Head]],
        ablation: Ablation = "mean",
        progress: Progress = SILENT,
    ) -> Float[Tensor, "circuit prompt"]:
        """The metric of any prompts that there are means for, computed anew."""
        if self._elsewhere is not None:
            found = self._elsewhere(pairs, circuits, ablation, progress)
            if found is not None:
                return found
        return run_circuits(
            self.model, pairs, self.means, self.metric, circuits, ablation, progress
        )


def run_circuits(
    model: LayeredModel,
    pairs: PromptPairs,
    means: MeanOutputs,
    metric: Metric,
    circuits: Sequence[frozenset[Head]],
    ablation: Ablation,
    progress: Progress = SILENT,
) -> Float[Tensor, "circuit prompt"]:
    """The metric of each prompt when every head outside a set of heads is replaced."""
    if ablation != "resample":
        replaced = means if ablation == "mean" else ZeroOutputs(model)
        return ablated_metric(model, pairs, replaced, circuits, metric, progress=progress)
    parts = []
    batches = torch.arange(len(pairs)).split(_PROMPTS_RESAMPLED_TOGETHER)
    for rows, report in progress.each(batches):
        part = pairs[rows]
        outputs = CorruptedOutputs.of(model, part)
        parts.append(ablated_metric(model, part, outputs, circuits, metric, progress=report))
    return torch.cat(parts, 1)
