"""Edges that lead nowhere, against removing them one node at a time."""

from __future__ import annotations

import time

import pytest
import torch

from circuits.circuit import circuit_of_edges, every_edge, without_dead_ends
from circuits.circuit.dead_ends import is_read
from circuits.components import Connection, Embedding, Head, Receiver
from circuits.errors import InputError, MismatchError
from circuits.graph import ModelGraph
from circuits.tasks import Spans

GRAPHS = (
    ModelGraph(3, 2, 2, mlps="nodes"),
    ModelGraph(3, 2, 1, parallel_mlp=True, mlps="nodes"),
    ModelGraph(1, 1, 1, mlps="nodes"),
)


def matrix(graph: ModelGraph, edges) -> torch.Tensor:
    found = torch.zeros(len(graph.receivers), len(graph.senders), dtype=torch.bool)
    for edge in edges:
        found[graph.row(edge.receiver), graph.column(edge.sender)] = True
    return found


def one_node_at_a_time(graph: ModelGraph, edges: torch.Tensor) -> torch.Tensor:
    left = {
        Connection(graph.senders[column], graph.receivers[row])
        for row, column in edges.nonzero().tolist()
    }
    while True:
        for node in graph.senders:
            into = {edge for edge in left if edge.receiver.node == node}
            out = {edge for edge in left if edge.sender == node}
            is_fed = into or isinstance(node, Embedding)
            if (into or out) and not (is_fed and out):
                left -= into | out
                break
        else:
            return matrix(graph, left)


def drawn(graph: ModelGraph, n: int) -> torch.Tensor:
    """Sets of few to many edges."""
    draw = torch.Generator().manual_seed(0)
    shares = torch.linspace(0.03, 0.6, n)[:, None, None]
    everything = every_edge(graph)
    return everything & (torch.rand((n, *everything.shape), generator=draw) < shares)


@pytest.mark.parametrize("graph", GRAPHS)
def test_is_what_is_left_when_nodes_go_one_by_one(graph: ModelGraph) -> None:
    sets = drawn(graph, 30)
    expected = torch.stack([one_node_at_a_time(graph, edges) for edges in sets])
    assert without_dead_ends(graph, sets).equal(expected)
    assert without_dead_ends(graph, sets[7]).equal(expected[7])
    assert without_dead_ends(graph, expected).equal(expected)
    assert not expected.equal(sets)
    assert expected.any()


def test_a_loop_that_ended_a_round_early_would_be_noticed() -> None:
    """Each head of a chain is a dead end only when the one above it is gone."""
    graph = ModelGraph(6, 1, 1, mlps="nodes")
    names = ["embed -> 0.0.q", *(f"{n}.0 -> {n + 1}.0.v" for n in range(5))]
    chain = matrix(graph, map(Connection.parse, names))
    assert not without_dead_ends(graph, chain).any()
    whole = chain | matrix(graph, [Connection.parse("5.0 -> logits")])
    assert without_dead_ends(graph, whole).equal(whole)
    fed_by_nothing = whole & ~matrix(graph, [Connection.parse("embed -> 0.0.q")])
    assert not without_dead_ends(graph, fed_by_nothing).any()


SPANS = Spans.of([["a", "b", "a", "end"], ["b", "c", "end"]])
"""Of a and b each can reach the other; c is reached, and reaches the end alone."""


def one_edge_at_a_time(graph: ModelGraph, edges: torch.Tensor) -> torch.Tensor:
    """With spans: an edge is alive where something feeds its sender and reads its receiver."""
    left = edges.clone()
    while True:
        pairs = [(graph.receivers[r], graph.senders[c]) for r, c in left.nonzero().tolist()]

        def is_alive(receiver, sender, pairs=pairs) -> bool:
            span = graph.span_of(receiver)
            fed = sender == Embedding() or any(
                other.node == sender and span in graph.writes_at(other) for other, _ in pairs
            )
            return fed and (
                receiver.is_logits
                or any(
                    reads == receiver.node and graph.span_of(other) in graph.writes_at(receiver)
                    for other, reads in pairs
                )
            )

        dead = [pair for pair in pairs if not is_alive(*pair)]
        if not dead:
            return left
        for receiver, sender in dead:
            left[graph.row(receiver), graph.column(sender)] = False


@pytest.mark.parametrize("parallel", [False, True])
def test_with_spans_a_node_is_one_at_each_of_them(parallel: bool) -> None:
    graph = ModelGraph(2, 2, 1, parallel, "nodes", SPANS)
    sets = drawn(graph, 6)
    expected = torch.stack([one_edge_at_a_time(graph, one) for one in sets])
    assert without_dead_ends(graph, sets).equal(expected)
    assert any(0 < after.sum() < one.sum() for one, after in zip(sets, expected, strict=True))


def test_what_is_read_at_a_span_must_be_written_there() -> None:
    graph = ModelGraph(2, 1, 1, mlps="nodes", spans=SPANS)

    def left(*names: str) -> set[str]:
        edges = without_dead_ends(graph, matrix(graph, map(Connection.parse, names)))
        return set(map(str, circuit_of_edges(graph, edges).connections))

    chain = "embed -> 0.0.v@b", "0.0 -> m1@a", "m1 -> logits@end"
    assert not left(*chain)  # m1 writes at a, and the logits read at the end.
    through_attention = "embed -> 0.0.v@b", "0.0 -> 1.0.k@a", "1.0 -> logits@end"
    assert left(*through_attention) == set(through_attention)
    assert not left("embed -> 0.0.q@b", *through_attention[1:])  # A query acts where it is read.
    assert not left("embed -> 0.0.v@c", *through_attention[1:])  # No a stands behind a c.


def test_what_is_read_where_a_receiver_leads_to() -> None:
    graph = ModelGraph(2, 1, 1, mlps="nodes", spans=SPANS)
    edges = matrix(graph, [Connection.parse("0.0 -> m1@a")])
    read = {str(r) for r in graph.receivers if r.node == Head(0, 0) and is_read(graph, r, edges)}
    assert read == {"0.0.q@a", "0.0.k@a", "0.0.v@a", "0.0.k@b", "0.0.v@b"}
    assert is_read(graph, Receiver.parse("logits@end"), edges & False)


def test_all_edges_and_none_stay() -> None:
    for graph in GRAPHS:
        everything = every_edge(graph)
        assert without_dead_ends(graph, everything).equal(everything)
        assert not without_dead_ends(graph, everything & False).any()


def test_it_is_fast_for_the_graph_of_smollm2() -> None:
    graph = ModelGraph(30, 9, 3, mlps="nodes")
    sets = drawn(graph, 4)
    begin = time.perf_counter()
    assert without_dead_ends(graph, sets).any()
    assert time.perf_counter() - begin < 5


def test_other_graphs_are_refused() -> None:
    paths = ModelGraph(3, 2, 2)
    with pytest.raises(InputError, match="every head reads the embedding"):
        without_dead_ends(paths, every_edge(paths))
    with pytest.raises(MismatchError, match="must be 22 receivers x 10 senders, got 4 x 4"):
        without_dead_ends(GRAPHS[0], torch.ones(4, 4, dtype=torch.bool))
