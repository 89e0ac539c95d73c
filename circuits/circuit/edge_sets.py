"""Sets of edges as matrices, receivers by senders in the order of the graph, and as circuits."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.circuit.circuit import Circuit, check_same_spans
from circuits.components import Edge, Head
from circuits.errors import InputError, MismatchError
from circuits.graph import ModelGraph

EdgeSet = Bool[Tensor, "receiver sender"]


@lru_cache(maxsize=8)
def _every_edge(graph: ModelGraph) -> EdgeSet:
    edges = torch.zeros(len(graph.receivers), len(graph.senders), dtype=torch.bool)
    for row, receiver in enumerate(graph.receivers):
        edges[row, graph.below(receiver)] = True
    return edges


def every_edge(graph: ModelGraph) -> Bool[Tensor, "receiver sender"]:
    """Which receivers read which senders.

    >>> int(every_edge(graph).sum()) == graph.n_edges
    True
    """
    return _every_edge(graph).clone()


def edges_among(graph: ModelGraph, heads: Iterable[Head]) -> Bool[Tensor, "receiver sender"]:
    """Every edge between some heads, all MLPs, the embedding and the logits.

    Args:
        graph: With MLPs and the embedding as nodes.
        heads: Those whose edges there are.

    Raises:
        MismatchError: The graph has not such a head.

    >>> graph = ModelGraph(n_layers=2, n_heads=2, n_kv_heads=2, mlps="nodes")
    >>> int(edges_among(graph, [Head(0, 1)]).sum())  # q, k and v read the embedding; m0, m1, logits
    12
    """
    heads = set(heads)
    for head in heads:
        graph.check(head)
    edges = every_edge(graph)
    for head in set(graph.heads) - heads:
        edges[:, graph.column(head)] = False
        edges[[graph.row(receiver) for receiver in graph.inputs(head)]] = False
    return edges


def check_edges(edges: Tensor, graph: ModelGraph) -> None:
    """Raise MismatchError where a matrix, or the last two axes of many, is not of the graph."""
    wanted = len(graph.receivers), len(graph.senders)
    if tuple(edges.shape[-2:]) != wanted:
        raise MismatchError(
            f"edges of {graph.shape} must be {wanted[0]} receivers x {wanted[1]} senders, got "
            f"{' x '.join(map(str, edges.shape))}"
        )


def circuit_of_edges(
    graph: ModelGraph,
    edges: Bool[Tensor, "receiver sender"],
    effects: Float[Tensor, "receiver sender"] | None = None,
) -> Circuit:
    """The circuit of some edges of a graph, with the heads at their ends.

    An edge into a key or value that heads share is one into that of each of them.

    Args:
        graph: The model's.
        edges: Which of its edges.
        effects: Normalised effects of corrupting them, below 0 where the edge helps; 0 without.

    Raises:
        MismatchError: The matrices are not of the graph, or mark what is no edge of it.
        InputError: The effect of an edge is not finite.

    >>> graph = ModelGraph(n_layers=2, n_heads=1, n_kv_heads=1, mlps="nodes")
    >>> edges = every_edge(graph)
    >>> edges[: graph.row(Receiver.parse("m1"))] = False
    >>> circuit = circuit_of_edges(graph, edges)
    >>> len(circuit.edges), circuit.mlps, sorted(map(str, circuit.nodes))
    (9, 'nodes', ['0.0', '1.0', 'embed', 'm0', 'm1'])
    """
    check_edges(edges, graph)
    if bool((edges & ~_every_edge(graph)).any()):
        raise MismatchError(f"what is marked is no edge in {graph.shape}: a receiver reads no more")
    effects = torch.zeros(edges.shape) if effects is None else effects
    check_edges(effects, graph)
    if not bool(effects[edges].isfinite().all()):
        raise InputError("an edge of the circuit has no finite effect")
    found = frozenset(
        Edge(graph.senders[column], receiver, float(effects[row, column]))
        for row, column in edges.nonzero().tolist()
        for receiver in graph.members(graph.receivers[row])
    )
    heads = frozenset(end for edge in found for end in edge.ends if isinstance(end, Head))
    return Circuit(heads, found, graph.n_layers, graph.n_heads, graph.mlps, graph.spans)


def edge_mask(circuit: Circuit, graph: ModelGraph) -> Bool[Tensor, "receiver sender"]:
    """Which edges of a graph a circuit has; those into a shared key or value are one.

    Raises:
        MismatchError: The circuit is one of another graph.

    >>> int(edge_mask(circuit, graph).sum()) == graph.n_distinct(circuit.connections)
    True
    """
    shape, own = (circuit.n_layers, circuit.n_heads), (graph.n_layers, graph.n_heads)
    if shape != own or circuit.mlps != graph.mlps:
        raise MismatchError(
            f'the circuit is one of {shape[0]} layers x {shape[1]} heads with mlps="{circuit.mlps}"'
            f', the graph one of {own[0]} x {own[1]} with mlps="{graph.mlps}"'
        )
    check_same_spans(circuit.spans, graph.spans)
    edges = torch.zeros(len(graph.receivers), len(graph.senders), dtype=torch.bool)
    places = [(graph.row(e.receiver), graph.column(e.sender)) for e in circuit.edges]
    if places:
        rows, columns = zip(*places, strict=True)
        edges[list(rows), list(columns)] = True
    if bool((edges & ~_every_edge(graph)).any()):
        raise MismatchError("the circuit has edges from heads into MLPs that stand beside them")
    return edges
