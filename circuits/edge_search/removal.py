"""ACDC: from the logits down, every edge is removed that the output hardly notices.

Conmy et al. 2023 (arXiv 2304.14997, algorithm 1). Receivers are gone through in reverse topological
order, and the senders of each from the one that writes last to the embedding. An edge is removed,
which is to say corrupted, where that lets the divergence from the whole model rise by less than a
threshold. Knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.circuit.dead_ends import is_read
from circuits.circuit.edge_sets import check_edges
from circuits.edge_scores import EdgeScoreSettings
from circuits.edge_search.descent import places
from circuits.errors import SettingError
from circuits.graph import ModelGraph
from circuits.masking import MaskedRuns
from circuits.patching import EdgeValues
from circuits.runtime.progress import SILENT, Progress
from circuits.runtime.settings import default_of

Edges = Bool[Tensor, "receiver sender"]
Circuits = Bool[Tensor, "circuit receiver sender"]
DivergencesOf = Callable[[Circuits, Edges], Float[Tensor, " circuit"]]
"""From circuits, and one that they are like from the embedding up, to how far each is from the
whole model. With the metric in its place: the negative of that."""
_MOST_PASSES = default_of(EdgeScoreSettings, "most_passes")
_MOST_TOGETHER = 8
"""Edges tried in one pass, as if all of them were to go; what is kept makes the rest void."""


@dataclass(frozen=True, eq=False)
class AcdcCircuit:
    """What ACDC leaves of a circuit.

    Attributes:
        graph: Nodes and edges of the model.
        edges: The edges that are left, as published: also those that lead nowhere.
        rises: How much the divergence rose when an edge was tried; NaN where none was: the edge is
            not of the start, or nothing reads its receiver any more.
        threshold: An edge is kept where it rises by at least so much.
        before: The divergence of the start, a mean over prompts, in nats if it is KL.
        after: That of the edges that are left.
        n_runs: How many circuits were run, those included whose runs were void.

    >>> from circuits.edge_search import chosen_edges
    >>> divergences, start = divergences_of(MaskedRuns(activations)), chosen_edges(scored, 20)
    >>> found = acdc(divergences, scored.graph, start, threshold=1e-4)
    >>> bool(found.rises[found.edges].ge(found.threshold).all()), found.ranking.n_known
    (True, 262)
    """

    graph: ModelGraph
    edges: Edges
    rises: Float[Tensor, "receiver sender"]
    threshold: float | int
    before: float
    after: float
    n_runs: int

    @property
    def ranking(self) -> EdgeValues:
        """The edges that are left before all others, both by how much the divergence rose."""
        rises = self.rises.nan_to_num(nan=-torch.inf)
        return EdgeValues(self.graph, places([self.edges.float(), rises], self.graph))


def divergences_of(runs: MaskedRuns) -> DivergencesOf:
    """The mean KL divergence of circuits from the whole model on some prompts, in nats.

    Of the next-token distributions where the answers are read (`kl_divergence`).

    >>> from circuits.circuit import every_edge
    >>> whole = every_edge(layered.graph("nodes"))
    >>> divergences_of(MaskedRuns(activations))(torch.stack([whole, whole & False]), whole)
    tensor([..., ...], dtype=torch.float64)
    """

    def divergences(circuits: Circuits, like: Edges) -> Float[Tensor, " circuit"]:
        return runs.divergences(circuits.float(), like=like.float()).double().mean(-1)

    return divergences


def acdc(
    divergences: DivergencesOf,
    graph: ModelGraph,
    start: Bool[Tensor, "receiver sender"],
    threshold: float | int,
    *,
    most_passes: int = _MOST_PASSES,
    progress: Progress = SILENT,
) -> AcdcCircuit:
    """Remove every edge whose removal lets the divergence rise by less than a threshold.

    Algorithm 1 of ACDC in its authors' order (section 3; the defaults of their `main.py`): later
    layers first, a layer's MLP before its heads, heads from the highest number down, and of a
    layer's receivers values, then keys, then queries. As in their code, a receiver whose node
    nothing reads any more loses its edges untried; their edges from a head's input to the head are
    none here. Senders that are tried in one pass end as if tried one after another.

    Args:
        divergences: How far circuits are from the whole model, such as `divergences_of`.
        graph: Nodes and edges, with MLPs and the embedding as nodes.
        start: The edges to begin with: `every_edge` as published, or others, such as `edges_among`
            some heads or `chosen_edges` of a score. All others are corrupted throughout.
        threshold: In units of the divergence.
        most_passes: How many edges the start may have: each takes up to a forward pass.
        progress: Hears of the fraction of edges that is decided.

    Raises:
        MismatchError: The start is not of the graph.
        SettingError: The threshold is not above 0, or there are more edges than passes.

    >>> from circuits.circuit import every_edge
    >>> graph = ModelGraph(1, 1, 1, mlps="nodes")
    >>> wanted = torch.zeros(5, 3).bool()  # the embedding to the head's value, that to the logits
    >>> wanted[2, 0] = wanted[4, 1] = True
    >>> lost = lambda circuits, like: 1.0 - circuits[:, wanted].all(-1).double()
    >>> acdc(lost, graph, every_edge(graph), threshold=0.1).edges.equal(wanted)
    True
    """
    check_start(graph, start, most_passes)
    if not threshold > 0:
        raise SettingError(f"the threshold of ACDC must be above 0, got {threshold}")
    removal = _Removal(divergences, graph, start, threshold)
    n_edges, n_left = int(start.sum()), 0
    for row in reversed(range(len(start))):
        removal.at(row)
        n_left += int(start[row].sum())
        progress(n_left / max(1, n_edges))
    return removal.found


def check_start(graph: ModelGraph, start: Edges, most_passes: int) -> None:
    """Raise MismatchError where edges are not of a graph, SettingError where they are too many."""
    check_edges(start, graph)
    n_edges = int(start.sum())
    if n_edges > most_passes:
        raise SettingError(
            f"ACDC tries each of {n_edges:,} edges, which takes up to {n_edges:,} forward passes, "
            f"more than most_passes ({most_passes:,}): begin with the heads that pruning leaves "
            "(start 'pruned') or with other edges (start), or allow more (most_passes)"
        )


class _Removal:
    """The edges that are left so far."""

    def __init__(
        self, divergences: DivergencesOf, graph: ModelGraph, start: Edges, threshold: float | int
    ) -> None:
        self.divergences, self.graph, self.start = divergences, graph, start
        self.threshold, self.edges = threshold, start.clone()
        self.rises = torch.full(start.shape, torch.nan)
        self.n_runs = 0
        (self.before,) = self._run(start[None])
        self.now, self.together = self.before, _MOST_TOGETHER

    @property
    def found(self) -> AcdcCircuit:
        return AcdcCircuit(
            self.graph,
            self.edges,
            self.rises,
            self.threshold,
            self.before,
            self.now,
            self.n_runs,
        )

    def at(self, row: int) -> None:
        """Decide on every edge into a receiver."""
        if not is_read(self.graph, self.graph.receivers[row], self.edges):
            self.edges[row] = False
            return
        senders = self.edges[row].nonzero()[:, 0].flip(0).tolist()
        while senders:
            tried = senders[: self.together]
            senders = senders[self._n_decided(row, tried) :]

    def _n_decided(self, row: int, tried: Sequence[int]) -> int:
        """Remove some senders in turn until one is to be kept; how many that decides on."""
        circuits = self.edges.repeat(len(tried), 1, 1)
        for place, column in enumerate(tried):
            circuits[place:, row, column] = False
        for place, divergence in enumerate(self._run(circuits)):
            self.rises[row, tried[place]] = divergence - self.now
            if not divergence - self.now < self.threshold:
                self.together = max(1, place)
                return place + 1
            self.edges[row, tried[place]] = False
            self.now = divergence
        self.together = min(2 * self.together, _MOST_TOGETHER)
        return len(tried)

    def _run(self, circuits: Circuits) -> list[float]:
        self.n_runs += len(circuits)
        # What lies below the receiver is that of the start: it is run once for all edges.
        return self.divergences(circuits, self.start).tolist()
