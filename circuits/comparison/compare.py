"""Everything there is to say about how a circuit agrees with a reference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from circuits.circuit import Circuit, Overlap
from circuits.comparison.edges import (
    count_connections,
    distinct_connections,
    effect_strengths,
    head_strengths,
)
from circuits.components import Connection, Head, Node, all_heads
from circuits.discovery.result import Discovery
from circuits.graph import ModelGraph
from circuits.model.catalogue import list_models
from circuits.references import Reference, check_same_shape
from circuits.statistics.chance import Chance
from circuits.statistics.roc import RocCurve, roc_curve

Item = TypeVar("Item")

STRONGEST_EFFECT = "strongest effect"
"""The scores of heads by the largest |effect| that each has as a sender."""


@dataclass(frozen=True)
class Agreement(Generic[Item]):
    """How two sets agree, and how random sets of the same size would.

    Attributes:
        overlap: What they share, with precision, recall, F1 and IoU.
        chance: The same figures for random sets drawn from everything that the model has.

    >>> agreement = compare_circuits(Circuit.of_heads(["0.0", "1.1", "2.1"], 3, 4), other).heads
    >>> agreement.overlap.recall, round(agreement.chance.recall.mean, 2)
    (1.0, 0.25)
    >>> round(agreement.p_value, 3)
    0.045
    """

    overlap: Overlap[Item]
    chance: Chance

    @property
    def p_value(self) -> float:
        """Share of random sets that share at least as much with the reference."""
        return self.chance.p_value(len(self.overlap.true_positives))


@dataclass(frozen=True)
class Comparison:
    """A circuit against a reference.

    Attributes:
        heads: Agreement of the heads.
        nodes: Agreement of heads, MLPs and the embedding; None where only heads are nodes.
        edges: Agreement of the paths, whatever their effects; None where either has none. Those
            into a key or value that heads share are one: to find one is to find all.
        edges_by_heads: What random paths between the circuit's own heads would agree by: whether
            its edges say more than its heads do. None as for `edges`.
        head_rankings: By the name of the scores, how well they rank the reference's heads.
        edge_ranking: How well |effects| rank the reference's paths; None without either.

    >>> comparison = compare_circuits(found, other)
    >>> sorted(comparison.head_rankings)
    ['attribution', 'strongest effect']
    >>> comparison.edges is None  # the reference is one of heads alone
    True
    """

    heads: Agreement[Head]
    nodes: Agreement[Node] | None
    edges: Agreement[Connection] | None
    edges_by_heads: Chance | None
    head_rankings: dict[str, RocCurve]
    edge_ranking: RocCurve | None


def compare_circuits(
    found: Discovery | Circuit, reference: Reference | Circuit, graph: ModelGraph | None = None
) -> Comparison:
    """Compare heads and edges, with chance beside them; for a discovery its scores, too.

    Args:
        found: A discovery, or a circuit from anywhere.
        reference: A published circuit (`load_reference`), or any other circuit.
        graph: Which heads of the model share keys and values. Without, a discovery says that of its
            model, and the catalogue of a published circuit's; where nothing does, each path counts
            as one of its own, and chance is underrated if heads do share.

    Raises:
        MismatchError: They belong to models of different shapes, or to graphs of which one has MLPs
            as nodes.

    >>> heads = compare_circuits(Circuit.of_heads(["0.0", "1.1"], 3, 4), other).heads.overlap
    >>> heads.precision, [str(head) for head in heads.false_negatives]
    (0.5, ['2.1'])
    """
    mine = found.circuit if isinstance(found, Discovery) else found
    if isinstance(reference, Reference):
        check_same_shape(reference, mine)
        theirs = reference.circuit
    else:
        theirs = reference
    graph = replace(graph or _graph_of(found, reference), mlps=mine.mlps, spans=mine.spans)
    connections = reference.connections
    overlap = mine.compare(theirs)
    n_possible = mine.n_layers * mine.n_heads
    edges, edges_by_heads = _edges(mine, connections, graph)
    effects = found.effects if isinstance(found, Discovery) else None
    return Comparison(
        heads=Agreement(overlap, Chance.of(overlap, n_possible)),
        nodes=_nodes(mine, reference, graph),
        edges=edges,
        edges_by_heads=edges_by_heads,
        head_rankings=head_roc_curves(found, theirs.heads) if isinstance(found, Discovery) else {},
        edge_ranking=roc_curve(*effect_strengths(effects, connections))
        if effects is not None and connections
        else None,
    )


def head_roc_curves(found: Discovery, reference: frozenset[Head]) -> dict[str, RocCurve]:
    """How well each kind of score of a discovery ranks a reference's heads.

    By name: the scores that prunings ranked heads by, and `STRONGEST_EFFECT`.

    Raises:
        InputError: A score is NaN.

    >>> curves = head_roc_curves(found, other.heads)
    >>> {name: (curve.n_positive, curve.n_negative) for name, curve in sorted(curves.items())}
    {'attribution': (2, 10), 'strongest effect': (2, 10)}
    """
    scores = dict(found.scores)
    if found.effects is not None:
        scores[STRONGEST_EFFECT] = head_strengths(found.effects)
    return {name: head_roc_curve(values, reference) for name, values in scores.items()}


def head_roc_curve(scores: Float[Tensor, "layer head"], reference: frozenset[Head]) -> RocCurve:
    """How well scores of all heads rank a reference's, high ones first.

    Raises:
        InputError: A score is NaN.

    >>> head_roc_curve(scores, found.candidates).auc  # pruning kept the heads of highest score
    1.0
    """
    positive = np.array([head in reference for head in all_heads(*scores.shape)])
    return roc_curve(scores.flatten().cpu().double().numpy(), positive)


def _graph_of(found: Discovery | Circuit, reference: Reference | Circuit) -> ModelGraph:
    if isinstance(found, Discovery):
        return found.provenance.model.graph()
    sharing = {entry.name: entry.n_kv_heads for entry in list_models()}
    model = reference.model if isinstance(reference, Reference) else None
    n_kv_heads = sharing.get(model or "", found.n_heads)
    return ModelGraph(found.n_layers, found.n_heads, n_kv_heads)


def _nodes(mine: Circuit, theirs: Reference | Circuit, graph: ModelGraph) -> Agreement[Node] | None:
    if not graph.has_mlps:
        return None
    overlap = Overlap.of(mine.nodes, theirs.nodes)
    return Agreement(overlap, Chance.of(overlap, len(graph.senders)))


def _edges(
    mine: Circuit, theirs: frozenset[Connection], graph: ModelGraph
) -> tuple[Agreement[Connection] | None, Chance | None]:
    """Agreement of edges against chance in the whole model, and chance between the same heads."""
    if not mine.connections or not theirs:
        return None, None
    paths, reference = distinct_connections(mine.connections, theirs, graph)
    overlap = Overlap.of(paths, reference)
    everywhere = count_connections(graph.senders, graph)
    reachable = sum(
        path.sender in mine.nodes
        and (path.receiver.is_logits or not mine.nodes.isdisjoint(graph.readers(path.receiver)))
        for path in reference
    )
    between = Chance.of(overlap, count_connections(mine.nodes, graph), reachable)
    return Agreement(overlap, Chance.of(overlap, everywhere)), between
