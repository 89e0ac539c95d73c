"""The smallest circuit of edges that keeps enough on prompts that it was not searched on.

Several rankings propose circuits of all sizes, and other prompts choose: such a portfolio is there
never worse than its best member. Of what is chosen, edges are left out that it does without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.circuit import without_dead_ends
from circuits.components import Head
from circuits.edge_scores import top_edges
from circuits.edge_search.descent import places
from circuits.evaluation import EdgeEvaluator, EdgePoint, SizeCurve, SizePoint
from circuits.patching import EdgeValues
from circuits.runtime.progress import SILENT, Progress
from circuits.statistics.intervals import Bootstrap, Estimate

THINNED = "thinned"
_SPARE = 0.5
"""Standard errors that are asked for beyond what is to be kept."""
_OF_SEARCH = 0.5
"""How much prompts of the search count where a size is chosen: edges were found on them."""
_FIRST, _FACTOR, _PRECISION = 16, 4.0, 1.04
_MOST_REPORTED = 4
_LEFT_OUT_TOGETHER = 64
MOST_LEFT_OUT = 400
"""Of larger circuits edges are not left out one by one: that takes a run for each of them."""
Edges = Bool[Tensor, "receiver sender"]


@dataclass(frozen=True, eq=False)
class Proposal:
    """A ranking of edges, of which circuits are proposed.

    Attributes:
        name: What it is called.
        ranking: Of every edge, the best highest.
        n: How many of the best edges are the one circuit that is proposed; None: any number may be.

    >>> Proposal("invented", scored, n=30).edges.shape
    torch.Size([40, 16])
    """

    name: str
    ranking: EdgeValues
    n: int | None = None

    @property
    def edges(self) -> Bool[Tensor, "receiver sender"]:
        """The circuit that is proposed; all edges where any number may be."""
        n = self.ranking.graph.n_edges if self.n is None else self.n
        return chosen_edges(self.ranking, n)


@dataclass(frozen=True, eq=False)
class EdgeChooser:
    """Circuits that were tried, and where.

    Attributes:
        keep: Percent of faithfulness that is to be kept.
        search: The prompts of the search.
        validation: The prompts that sizes are chosen by.
        rankings: By name: places of all edges, the best highest.

    >>> edges = EdgeEvaluator(model, pairs)
    >>> chooser = EdgeChooser(50, search=edges, validation=edges)
    >>> chooser.along("invented", scored)
    >>> chooser.thin()
    >>> chooser.curve.reaches, int(chooser.chosen.sum()) == len(chooser.curve.point)
    (True, True)
    """

    keep: float | int
    search: EdgeEvaluator
    validation: EdgeEvaluator
    rankings: dict[str, EdgeValues] = field(default_factory=dict)
    _tried: dict[tuple[str, int], EdgePoint] = field(default_factory=dict, init=False)
    _lost: dict[SizePoint, Tensor] = field(default_factory=dict, init=False)

    @property
    def curve(self) -> SizeCurve:
        """All circuits that were tried, and the one that is chosen."""
        curve = SizeCurve.of(list(self._tried.values()), self.keep)
        return replace(curve, n_validation=len(self.validation.pairs))

    def consider(self, proposal: Proposal, progress: Progress = SILENT) -> None:
        """Try the circuit that is proposed, or look `along` the ranking for one."""
        if proposal.n is None:
            self.along(proposal.name, proposal.ranking, progress)
            return
        self.rankings[proposal.name] = proposal.ranking
        self._try(proposal.name, proposal.n)

    def along(self, name: str, ranking: EdgeValues, progress: Progress = SILENT) -> None:
        """Look for the smallest circuit of a ranking, as if more edges always kept more.

        Only among those smaller than what is chosen by then.
        """
        self.rankings[name] = ranking
        most = ranking.graph.n_edges
        if self._tried and self.curve.reaches:
            most = len(self.curve.point)
            if not self._keeps(name, most):
                return
        low, high = 0, min(_FIRST, most)
        while not self._keeps(name, high):
            if high == most:
                return
            low, high = high, min(most, int(_FACTOR * high))
            progress(0.3)
        while high > max(low + 1, low * _PRECISION):
            middle = min(high - 1, max(low + 1, round((max(low, 1) * high) ** 0.5)))
            low, high = (low, middle) if self._keeps(name, middle) else (middle, high)
        progress(1.0)

    def thin(self, progress: Progress = SILENT) -> None:
        """Leave out what the chosen circuit does without, those edges first that cost least.

        Not of circuits of more than `MOST_LEFT_OUT` edges.
        """
        if not (self.curve.reaches and self.is_small):
            return
        edges, ranking = self.chosen, self.rankings[self.curve.point.ranking]
        order = torch.full(edges.shape, -torch.inf)
        order[edges] = self.lost(progress).mean(-1).float()
        values = places([order, ranking.values.nan_to_num(nan=-1.0)], ranking.graph)
        self.along(THINNED, EdgeValues(ranking.graph, values))

    @property
    def is_small(self) -> bool:
        """Whether the chosen circuit has so few edges that each can be left out by itself."""
        return len(self.curve.point) <= MOST_LEFT_OUT

    def lost(self, progress: Progress = SILENT) -> Float[Tensor, "edge prompt"]:
        """What the metric of each validation prompt loses without each edge that is chosen."""
        point = self.curve.point
        if point not in self._lost:
            self._lost[point] = lost_without(self.validation, self.chosen, progress)
        return self._lost[point]

    @property
    def chosen(self) -> Bool[Tensor, "receiver sender"]:
        """The edges of the circuit that is chosen."""
        return self.edges(self.curve.point)

    def edges(self, point: SizePoint) -> Bool[Tensor, "receiver sender"]:
        """The edges of a circuit that was tried."""
        assert isinstance(point, EdgePoint)
        return chosen_edges(self.rankings[point.ranking], point.n_ranked)

    def _keeps(self, name: str, n_ranked: int) -> bool:
        return self._try(name, n_ranked).keeps(self.keep)

    def _try(self, name: str, n_ranked: int) -> EdgePoint:
        if (name, n_ranked) not in self._tried:
            edges = chosen_edges(self.rankings[name], n_ranked)
            search, validation = (
                on.with_baselines(edges[None]).numpy() for on in (self.search, self.validation)
            )
            self._tried[name, n_ranked] = EdgePoint(
                name,
                _heads(self.rankings[name], edges),
                _kept(search),
                _kept(validation),
                _kept(search, validation),
                spare=_SPARE,
                n_ranked=n_ranked,
                n_edges=int(edges.sum()),
            )
        return self._tried[name, n_ranked]


def chosen_edges(ranking: EdgeValues, n: int) -> Bool[Tensor, "receiver sender"]:
    """The best n edges of a ranking, without those that lead nowhere.

    >>> int(chosen_edges(scored, 10).sum()) <= 10
    True
    """
    if n == 0:
        return torch.zeros(ranking.values.shape[:2], dtype=torch.bool)
    return without_dead_ends(ranking.graph, top_edges(ranking, n))


def lost_without(
    on: EdgeEvaluator, edges: Edges, progress: Progress = SILENT
) -> Float[Tensor, "edge prompt"]:
    """What the metric of each prompt loses without each edge of a circuit, in order.

    >>> edges = chosen_edges(scored, 60)
    >>> lost_without(EdgeEvaluator(model, pairs), edges).shape == (int(edges.sum()), len(pairs))
    True
    """
    whole, lost = on.metrics(edges[None]), []
    # A matrix for each edge at once would not fit where a circuit has thousands.
    for places_of, part in progress.each(edges.nonzero().split(_LEFT_OUT_TOGETHER)):
        without = edges.repeat(len(places_of), 1, 1)
        without[torch.arange(len(places_of)), places_of[:, 0], places_of[:, 1]] = False
        lost.append(whole - on.metrics(without, part, like=edges))
    return torch.cat(lost) if lost else whole[:0]


def with_held_out(
    chooser: EdgeChooser, on: EdgeEvaluator, progress: Progress = SILENT
) -> SizeCurve:
    """The circuits that were tried, with what those near the chosen one keep on other prompts.

    >>> edges = EdgeEvaluator(model, pairs)
    >>> chooser = EdgeChooser(50, search=edges, validation=edges)
    >>> chooser.along("invented", scored)
    >>> with_held_out(chooser, edges).point.held_out is None
    False
    """

    def kept(points: Sequence[SizePoint]) -> list[Estimate]:
        edges = torch.stack([chooser.edges(point) for point in points])
        return [one.scaled(100) for one in on.faithfulness(edges, progress=progress)]

    return chooser.curve.with_held_out(kept, len(on.pairs), _MOST_REPORTED)


def _kept(*runs: Float[np.ndarray, "run _"]) -> Estimate:
    """Percent of faithfulness over some prompts; of two sets, those of the search count half."""

    def percent(*means: Float[np.ndarray, "run *resample"]) -> Float[np.ndarray, "1 *resample"]:
        weights = (_OF_SEARCH, 1.0)[-len(means) :]
        weighted = [weight * of for weight, of in zip(weights, means, strict=True)]
        none, whole, circuit = np.sum(weighted, axis=0)
        return (100 * (circuit - none) / (whole - none))[None]

    (kept,) = Bootstrap().estimates(percent, *runs)
    return kept


def _heads(ranking: EdgeValues, edges: Edges) -> frozenset[Head]:
    sends = edges.any(0).tolist()
    return frozenset(
        node
        for node, is_used in zip(ranking.graph.senders, sends, strict=True)
        if is_used and isinstance(node, Head)
    )
