"""Edges that lead nowhere: from nodes that read nothing, and into nodes that nothing reads.

Hanna et al. 2024 (EAP-IG, arXiv 2403.17806) and Mueller et al. 2025 (MIB, arXiv 2504.13151) remove
them before a circuit is run, and until nothing changes. The revision of EAP-IG that MIB pins stops
that loop a round early; here it goes on to the end.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from circuits.circuit.edge_sets import check_edges, every_edge
from circuits.errors import InputError
from circuits.graph import ModelGraph


def without_dead_ends(
    graph: ModelGraph, edges: Bool[Tensor, "*circuit receiver sender"]
) -> Bool[Tensor, "*circuit receiver sender"]:
    """Edges without those of nodes that have no incoming or no outgoing edge, until none is left.

    For a head one of q, k and v is enough to have an incoming edge. The embedding needs none. The
    logits always stay.

    Args:
        graph: With MLPs and the embedding as nodes.
        edges: Which edges; of several circuits where there are leading dimensions.

    Raises:
        MismatchError: The edges are not of the graph.
        InputError: MLPs are no nodes of the graph: heads then always read the embedding.

    >>> from circuits.circuit import circuit_of_edges
    >>> from circuits.components import Connection
    >>> graph = ModelGraph(n_layers=2, n_heads=1, n_kv_heads=1, mlps="nodes")
    >>> names = ["embed -> 0.0.q", "0.0 -> m1", "m1 -> logits", "0.0 -> 1.0.k", "m0 -> logits"]
    >>> edges = torch.zeros(9, 5, dtype=torch.bool)
    >>> for edge in map(Connection.parse, names):
    ...     edges[graph.row(edge.receiver), graph.column(edge.sender)] = True
    >>> circuit = circuit_of_edges(graph, without_dead_ends(graph, edges))
    >>> sorted(map(str, circuit.connections))
    ['0.0 -> m1', 'embed -> 0.0.q', 'm1 -> logits']
    """
    if not graph.has_mlps:
        raise InputError(
            'dead ends are those of a graph with mlps="nodes": where MLPs belong to the paths, '
            "every head reads the embedding, so that none is without something to read"
        )
    check_edges(edges, graph)
    edges, reads = edges & every_edge(graph), _nodes_of_rows(graph)
    n_nodes = len(graph.senders)
    between = edges.new_zeros((*edges.shape[:-2], n_nodes + 1, n_nodes), dtype=torch.int32)
    between = between.index_add_(-2, reads, edges.int()) > 0
    alive = edges.new_ones((*edges.shape[:-2], n_nodes + 1))
    while True:
        left = between & alive[..., :, None] & alive[..., None, :n_nodes]
        stays = left.any(-2)
        stays[..., 1:] &= left.any(-1)[..., 1:n_nodes]
        if bool((stays == alive[..., :n_nodes]).all()):
            return edges & alive[..., reads, None] & alive[..., None, :n_nodes]
        alive[..., :n_nodes] = stays


@lru_cache(maxsize=8)
def _nodes_of_rows(graph: ModelGraph) -> Int[Tensor, " receiver"]:
    """By receiver, the place among the senders of the node that reads there; one more: logits."""
    nodes = [receiver.node for receiver in graph.receivers]
    last = len(graph.senders)
    return torch.tensor([last if node is None else graph.column(node) for node in nodes])
