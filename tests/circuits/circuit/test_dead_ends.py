"""Edges that lead nowhere, against removing them one node at a time."""

from __future__ import annotations

import time

import pytest
import torch

from circuits.circuit import every_edge, without_dead_ends
from circuits.components import Connection, Embedding
from circuits.errors import InputError, MismatchError
from circuits.graph import ModelGraph

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
