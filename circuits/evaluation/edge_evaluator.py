"""The strict test on the graph whose nodes are MLPs and the embedding, too.

Of a circuit, every edge inside carries what its sender gives in this run, and every edge outside
what the sender gives on the corrupted prompt (Hanna et al. 2024, EAP-IG, arXiv 2403.17806; Mueller
et al. 2025, MIB, arXiv 2504.13151, section 3.1). Edges that lead nowhere are removed first.
"""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.circuit import without_dead_ends
from circuits.evaluation.areas import faithfulness
from circuits.forward import Activations, LayeredModel, TransformerBridge
from circuits.graph import ModelGraph
from circuits.masking import MaskedRuns
from circuits.metrics import Metric, logit_diff
from circuits.runtime.progress import SILENT, Progress
from circuits.statistics.intervals import Bootstrap, Estimate
from circuits.tasks import PromptPairs


class EdgeEvaluator:
    """The metric of sets of edges on fixed prompts, with all other edges corrupted.

    Attributes:
        pairs: The prompts.

    >>> from circuits.circuit import every_edge
    >>> edges = EdgeEvaluator(model, pairs)
    >>> whole = every_edge(edges.graph)
    >>> [f"{kept:.0f}" for kept in edges.faithfulness(torch.stack([whole, ~whole & False]))]
    ['1 [1, 1]', '0 [0, 0]']
    """

    def __init__(
        self,
        model: TransformerBridge | LayeredModel,
        pairs: PromptPairs,
        metric: Metric = logit_diff,
        activations: Activations | None = None,
    ) -> None:
        """Run nothing yet.

        Args:
            model: A TransformerBridge, or its pieces.
            pairs: The prompts.
            metric: From logits at the answers to one number per prompt.
            activations: Of all these, where they are known.

        Raises:
            InputError: There is no prompt.

        """
        self.pairs = pairs
        self._activations = activations or Activations(model, pairs, metric)

    @property
    def graph(self) -> ModelGraph:
        """The nodes and edges: MLPs and the embedding are nodes."""
        return self.runs.graph

    @cached_property
    def baselines(self) -> Float[Tensor, "2 prompt"]:
        """The metric of each prompt with all edges corrupted, and with none."""
        found = self._activations
        return torch.stack([found.corrupted_metric, found.clean_metric]).cpu().double()

    def metrics(
        self,
        edges: Bool[Tensor, "circuit receiver sender"],
        progress: Progress = SILENT,
        like: Bool[Tensor, "receiver sender"] | None = None,
    ) -> Float[Tensor, "circuit prompt"]:
        """The metric of each prompt when every edge outside a set is corrupted.

        Args:
            edges: Those kept, for each of several circuits.
            progress: Hears of the fraction done.
            like: A circuit that those differ little from, in the order of where they begin to.

        Raises:
            MismatchError: The edges are not of the graph.
            NonFiniteError: The metric of a prompt is NaN or infinite.

        """
        kept = without_dead_ends(self.graph, edges)
        n_kept = kept.flatten(1).sum(1)
        found = torch.empty(len(kept), len(self.pairs), dtype=torch.float64)
        found[n_kept == 0], found[n_kept == self.graph.n_edges] = self.baselines
        partial = (n_kept > 0) & (n_kept < self.graph.n_edges)
        if bool(partial.any()):
            found[partial] = self.runs.metrics(
                kept[partial].float(), progress, None if like is None else like.float()
            ).double()
        return found

    def with_baselines(
        self, edges: Bool[Tensor, "circuit receiver sender"], progress: Progress = SILENT
    ) -> Float[Tensor, "run prompt"]:
        """The metric with all edges corrupted, with none, then of each circuit."""
        return torch.cat([self.baselines, self.metrics(edges, progress)])

    def faithfulness(
        self,
        edges: Bool[Tensor, "circuit receiver sender"],
        bootstrap: Bootstrap | None = None,
        progress: Progress = SILENT,
    ) -> list[Estimate]:
        """How much of the metric circuits keep: 0 with all edges corrupted, 1 with none.

        Means over prompts of (m(circuit) - m(none)) / (m(all) - m(none)), each mean taken before
        the ratio, with intervals over prompts.

        Args:
            edges: Those kept, for each of several circuits.
            bootstrap: How intervals are taken.
            progress: Hears of the fraction done.

        Raises:
            MismatchError: The edges are not of the graph.
            NonFiniteError: The metric of a prompt is NaN or infinite.

        """
        runs = self.with_baselines(edges, progress).numpy()
        return (bootstrap or Bootstrap()).estimates(faithfulness, runs)

    @cached_property
    def runs(self) -> MaskedRuns:
        """Runs of the prompts in which edges have weights."""
        return MaskedRuns(self._activations)
