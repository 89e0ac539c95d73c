"""How nodes and direct edges that a method found agree with the true ones."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.circuit import Overlap, every_edge
from circuits.components import Node
from circuits.discovery.result import Discovery
from circuits.evaluation import EdgePoint
from circuits.patching import EdgeValues
from circuits.statistics.roc import roc_curve
from circuits.truth.direct import DirectTruth


@dataclass(frozen=True)
class SetScore:
    """How a set that was found agrees with the true one.

    Attributes:
        precision: Share of what was found that is true; None where nothing was found.
        recall: Share of what is true that was found.
        auc: How often the method's ranking puts what is true above what is not.

    >>> from circuits.truth import SetScore
    >>> SetScore.of({1, 2, 3}, {1, 2}, auc=0.9)
    SetScore(precision=0.666..., recall=1.0, auc=0.9)
    """

    precision: float | None
    recall: float
    auc: float

    @classmethod
    def of(cls, found: AbstractSet[Any], true: AbstractSet[Any], auc: float) -> SetScore:
        """Of two sets."""
        overlap = Overlap.of(frozenset(found), frozenset(true))
        return cls(overlap.precision if found else None, overlap.recall, auc)


def node_score(found: Discovery, direct: DirectTruth) -> SetScore:
    """Heads, MLPs and the embedding, without those of which nothing is known.

    A node is ranked by the best of the edges that leave it.
    """
    strengths = _strengths(found)
    best = strengths.values.nan_to_num(nan=-1.0).amax(0)
    known = [node not in direct.unknown for node in direct.graph.senders]
    is_true = torch.tensor([node in direct.nodes for node in direct.graph.senders])
    mask = torch.tensor(known)
    nodes: frozenset[Node] = found.circuit.nodes - direct.unknown
    return SetScore.of(nodes, direct.nodes, _auc(best[mask], is_true[mask]))


def edge_score(found: Discovery, direct: DirectTruth) -> SetScore | None:
    """Direct edges; None where the construction does not fix them."""
    if direct.edges is None:
        return None
    every = every_edge(direct.graph)
    strengths = _strengths(found).values.nan_to_num(nan=-1.0)
    auc = _auc(strengths[every], direct.edges[every])
    return SetScore.of(found.circuit.connections, direct.circuit.connections, auc)


def _strengths(found: Discovery) -> EdgeValues:
    """What a method ranks edges by: the ranking that it chose from, or sizes of effects."""
    if found.effects is not None:
        return EdgeValues(found.effects.graph, found.effects.values.abs())
    if found.sizes is None:
        return EdgeValues.unknown(found.provenance.model.graph("nodes"))
    point = found.sizes.point
    assert isinstance(point, EdgePoint)
    return found.rankings[point.ranking]


def _auc(strengths: Float[Tensor, " item"], is_true: Bool[Tensor, " item"]) -> float:
    return roc_curve(strengths.double().numpy(), is_true.numpy()).auc
