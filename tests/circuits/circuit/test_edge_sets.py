"""Circuits as matrices of edges, and back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given

from circuits.circuit import Circuit, circuit_of_edges, edge_mask, every_edge
from circuits.components import Edge, Head, Receiver
from circuits.errors import InputError, MismatchError
from circuits.graph import ModelGraph
from tests.circuits.strategies import NODES, node_circuits

PATHS = ModelGraph(n_layers=3, n_heads=4, n_kv_heads=2)


@given(node_circuits())
def test_circuits_come_back(circuit: Circuit) -> None:
    edges = edge_mask(circuit, NODES)
    effects = torch.zeros(edges.shape, dtype=torch.float64)
    for edge in circuit.edges:
        effects[NODES.row(edge.receiver), NODES.column(edge.sender)] = edge.effect
    joined = {end for edge in circuit.edges for end in edge.ends}
    assert circuit_of_edges(NODES, edges, effects) == circuit.restricted_to(joined)
    assert int(edges.sum()) == len(circuit.edges)


@pytest.mark.parametrize("graph", [NODES, PATHS, ModelGraph(2, 3, 3, True, "nodes")])
def test_every_edge_is_what_the_graph_has(graph: ModelGraph) -> None:
    edges = every_edge(graph)
    for row, receiver in enumerate(graph.receivers):
        for column, sender in enumerate(graph.senders):
            assert edges[row, column] == graph.reads(receiver, sender)
    assert edge_mask(circuit_of_edges(graph, edges), graph).equal(edges)


def test_a_shared_key_is_that_of_every_head() -> None:
    edges = torch.zeros(len(PATHS.receivers), len(PATHS.senders), dtype=torch.bool)
    edges[PATHS.row(Receiver.parse("1.3.k")), 0] = True
    circuit = circuit_of_edges(PATHS, edges)
    assert {str(edge.connection) for edge in circuit.edges} == {"0.0 -> 1.2.k", "0.0 -> 1.3.k"}


def test_what_does_not_fit_is_refused() -> None:
    edges = every_edge(NODES)
    with pytest.raises(MismatchError, match="must be 22 receivers x 10 senders, got 3 x 3"):
        circuit_of_edges(NODES, edges[:3, :3])
    with pytest.raises(MismatchError, match="what is marked is no edge"):
        circuit_of_edges(NODES, torch.ones_like(edges))
    with pytest.raises(InputError, match="no finite effect"):
        circuit_of_edges(NODES, edges, torch.full(edges.shape, torch.nan))
    with pytest.raises(
        MismatchError, match='mlps="path", the graph one of 3 x 2 with mlps="nodes"'
    ):
        edge_mask(Circuit.of_heads([], 3, 2), NODES)
    beside = frozenset({Edge(Head(0, 0), Receiver.mlp(0), 0.0)})
    parallel = ModelGraph(3, 2, 2, parallel_mlp=True, mlps="nodes")
    with pytest.raises(MismatchError, match="MLPs that stand beside them"):
        edge_mask(Circuit(frozenset({Head(0, 0)}), beside, 3, 2, "nodes"), parallel)
