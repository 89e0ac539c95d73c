"""Edges that lead nowhere: from nodes that read nothing, and into nodes that nothing reads.

Hanna et al. 2024 (EAP-IG, arXiv 2403.17806) and Mueller et al. 2025 (MIB, arXiv 2504.13151) remove
them before a circuit is run, and until nothing changes. The revision of EAP-IG that MIB pins stops
that loop a round early; here it goes on to the end.

Where edges are told apart by spans, a node is one at each span: its output at a span is read by the
edges of that span alone, and depends on its query, or what its MLP reads, at that span, and on its
keys and values at spans that stand at or before it in some prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from circuits.circuit.edge_sets import check_edges, every_edge
from circuits.components import Receiver
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
    edges, groups = edges & every_edge(graph), _groups(graph)
    between = edges.new_zeros(
        (*edges.shape[:-2], len(groups.nodes), len(graph.senders)), dtype=torch.int32
    )
    between = between.index_add_(-2, groups.of_row, edges.int()) > 0
    alive = edges.new_ones((*edges.shape[:-2], graph.n_spans, len(graph.senders) + 1))
    while True:
        sends, leads_on = groups.sends(alive), groups.leads_on(alive)
        left = between & leads_on[..., :, None] & sends
        stays = groups.read(left) & groups.fed(left)
        if bool((stays == alive[..., :-1]).all()):
            sends = sends if graph.n_spans == 1 else sends[..., groups.of_row, :]
            return edges & leads_on[..., groups.of_row, None] & sends
        alive[..., :-1] = stays


def is_read(graph: ModelGraph, receiver: Receiver, edges: Bool[Tensor, "receiver sender"]) -> bool:
    """Whether an edge reads what the node of a receiver gives where it depends on that receiver.

    What the logits give is always read.

    >>> graph = ModelGraph(n_layers=1, n_heads=1, n_kv_heads=1, mlps="nodes")
    >>> is_read(graph, Receiver.parse("m0"), every_edge(graph))
    True
    """
    if receiver.node is None:
        return True
    groups, writes = _groups(graph), torch.tensor(graph.writes_at(receiver))
    here = torch.isin(groups.spans[groups.of_row], writes)
    return bool(edges[here, graph.column(receiver.node)].any())


@dataclass(frozen=True, eq=False)
class _Groups:
    """Receivers that lead on at the same spans, in one: a node's, where there are no spans.

    Nodes have their places among the senders; one more is that of the logits.

    Attributes:
        of_row: The group of each receiver.
        nodes: The node that reads.
        spans: Where it is read.
        writes: Where the node's output depends on that.
        n_nodes: How many senders.

    """

    of_row: Int[Tensor, " receiver"]
    nodes: Int[Tensor, " group"]
    spans: Int[Tensor, " group"]
    writes: Bool[Tensor, "group span"]
    n_nodes: int

    @property
    def n_spans(self) -> int:
        return self.writes.shape[1]

    def sends(
        self, alive: Bool[Tensor, "*circuit span node"]
    ) -> Bool[Tensor, "*circuit any_group sender"]:
        """Whether each sender is alive where a group reads it."""
        senders = alive[..., :-1]
        return senders if self.n_spans == 1 else senders[..., self.spans, :]

    def leads_on(self, alive: Bool[Tensor, "*circuit span node"]) -> Bool[Tensor, "*circuit group"]:
        """Whether the node of a group is alive where its output depends on what is read."""
        own = alive[..., self.nodes]
        return own[..., 0, :] if self.n_spans == 1 else (own & self.writes.T).any(-2)

    def read(
        self, left: Bool[Tensor, "*circuit group sender"]
    ) -> Bool[Tensor, "*circuit span sender"]:
        """Whether anything reads each sender at each span."""
        if self.n_spans == 1:
            return left.any(-2, keepdim=True)
        by_span = [left[..., self.spans == span, :].any(-2) for span in range(self.n_spans)]
        return torch.stack(by_span, -2)

    def fed(
        self, left: Bool[Tensor, "*circuit group sender"]
    ) -> Bool[Tensor, "*circuit span sender"]:
        """Whether each sender has an edge into it at each span; the embedding needs none."""
        into = left.any(-1)[..., None, :] & self.writes.T
        nodes = into.new_zeros((*into.shape[:-1], self.n_nodes + 1), dtype=torch.int32)
        found = nodes.index_add_(-1, self.nodes, into.int())[..., :-1] > 0
        found[..., 0] = True
        return found


@lru_cache(maxsize=8)
def _groups(graph: ModelGraph) -> _Groups:
    last, keys = len(graph.senders), []
    for receiver in graph.receivers:
        node = last if receiver.node is None else graph.column(receiver.node)
        keys.append((node, graph.span_of(receiver), graph.writes_at(receiver)))
    groups = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    writes = torch.zeros(len(groups), graph.n_spans, dtype=torch.bool)
    for place, (_, _, spans) in enumerate(groups):
        writes[place, list(spans)] = True
    return _Groups(
        torch.tensor([groups[key] for key in keys]),
        torch.tensor([node for node, _, _ in groups]),
        torch.tensor([span for _, span, _ in groups]),
        writes,
        last,
    )
