"""Edges in the order in which a curve takes them in."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from circuits.circuit import every_edge
from circuits.errors import InputError, SettingError
from circuits.evaluation.config import Ranking
from circuits.patching import EdgeValues


def rank_edges(scores: EdgeValues, ranking: Ranking) -> Int[Tensor, " edge"]:
    """All edges of the graph, the best first; equal ones in the graph's order.

    Args:
        scores: The higher, the more an edge helps; an edge without a score (NaN) has 0.
        ranking: By "signed" scores, or by "absolute" ones.

    Returns:
        Places of edges in the flattened matrix of receivers by senders.

    Raises:
        InputError: MLPs are no nodes of the scores' graph, or scores have a prompt axis.

    >>> edges = list(scored.graph.edges)
    >>> order = rank_edges(scored, "signed")
    >>> len(order) == len(edges), int(order[0]) == int(scored.values.nan_to_num().argmax())
    (True, True)
    """
    if not scores.graph.has_mlps:
        raise InputError(
            'edges are ranked on a graph with mlps="nodes", and these scores are of one with '
            'mlps="path": score the edges of model.graph("nodes")'
        )
    if scores.values.ndim != 2:
        raise InputError(
            f"edges are ranked by one score each, got {' x '.join(map(str, scores.values.shape))}: "
            "average over prompts first"
        )
    values = scores.values.detach().cpu().double().nan_to_num(nan=0.0)
    values = values.abs() if ranking == "absolute" else values
    places = every_edge(scores.graph).flatten().nonzero()[:, 0]
    return places[values.flatten()[places].argsort(descending=True, stable=True)]


def best_edges(scores: EdgeValues, ranking: Ranking, n: int) -> Bool[Tensor, "receiver sender"]:
    """The best edges of a ranking, dead ends included.

    Args:
        scores: The higher, the more an edge helps; an edge without a score (NaN) has 0.
        ranking: By "signed" scores, or by "absolute" ones.
        n: How many.

    Raises:
        InputError: As `rank_edges`.
        SettingError: The graph has not so many edges.

    >>> edges = best_edges(scored, "absolute", 10)
    >>> edges.shape == scored.values.shape, int(edges.sum())
    (True, 10)
    """
    if not 0 <= n <= scores.graph.n_edges:
        raise SettingError(f"n must be from 0 to the graph's {scores.graph.n_edges} edges, got {n}")
    return first_edges(rank_edges(scores, ranking), scores, n)


def first_edges(
    order: Int[Tensor, " edge"], scores: EdgeValues, n: int
) -> Bool[Tensor, "receiver sender"]:
    """The first edges of an order as a matrix."""
    shape = scores.values.shape
    edges = torch.zeros(shape.numel(), dtype=torch.bool)
    edges[order[:n]] = True
    return edges.view(shape)
