"""Circuits as graphs of networkx."""

import json

import networkx as nx
import pytest
from hypothesis import given, settings

from circuits.errors import FormatError
from circuits.formats import from_networkx, import_circuit, to_networkx
from circuits.formats.networks import from_node_link
from tests.circuits.formats.graphs import CIRCUIT, NODE_CIRCUIT
from tests.circuits.strategies import circuits, node_circuits


@given(circuit=circuits())
def test_networkx_graphs_come_back(circuit):
    assert from_networkx(to_networkx(circuit)) == circuit


@given(circuit=node_circuits())
def test_graphs_of_nodes_come_back(circuit):
    assert from_networkx(to_networkx(circuit)) == circuit


@given(circuit=node_circuits())
@settings(max_examples=10)
def test_graphs_of_nodes_survive_graphml(circuit):
    text = "\n".join(nx.generate_graphml(to_networkx(circuit)))
    graph = nx.parse_graphml(text, force_multigraph=True)
    assert from_networkx(graph) == circuit


def test_form_of_nodes():
    graph = to_networkx(NODE_CIRCUIT)
    assert graph.graph == {"n_layers": 3, "n_heads": 2, "mlps": "nodes"}
    assert graph.nodes["m0"] == {"layer": 0}
    assert graph.nodes["embed"] == {}
    assert graph.edges["embed", "m0", "mlp"] == {"input": "mlp", "effect": 0.5}


def test_form():
    graph = to_networkx(CIRCUIT)
    assert graph.graph == {"n_layers": 3, "n_heads": 2}
    assert graph.nodes["0.1"] == {"layer": 0, "index": 1}
    assert graph.edges["0.1", "2.0", "v"] == {"input": "v", "effect": 0.5}
    assert nx.has_path(graph, "0.1", "logits")


def test_a_simple_graph_of_ones_own():
    graph = nx.DiGraph(n_layers=3, n_heads=2)
    graph.add_edge("0.1", "2.0", input="q", effect=-0.25)
    graph.add_edge("2.0", "logits", effect=-1)
    circuit = from_networkx(graph)
    assert circuit.edges < CIRCUIT.edges
    assert len(circuit.edges) == 2


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"effect": 1}, "edge 0.1 -> 2.0: it has no input: q, k or v"),
        ({"input": "q"}, "edge 0.1 -> 2.0: it has no effect"),
        ({"input": "q", "effect": "much"}, "its effect must be a number, got 'much'"),
        ({"input": "x", "effect": 1}, "a receiver is written 9.6.q"),
    ],
)
def test_edges_that_are_none(attributes, message):
    graph = nx.DiGraph(n_layers=3, n_heads=2)
    graph.add_edge("0.1", "2.0", **attributes)
    with pytest.raises(FormatError, match=message):
        from_networkx(graph)


def test_edges_have_a_direction():
    with pytest.raises(FormatError, match="edges of a circuit are directed"):
        from_networkx(nx.Graph(to_networkx(CIRCUIT)))


def test_nodes_and_sizes_that_are_none():
    graph = nx.DiGraph(n_layers=3)
    with pytest.raises(FormatError, match="the graph has no n_heads"):
        from_networkx(graph)
    graph = nx.DiGraph(n_layers=3, n_heads=2)
    graph.add_node("mlp 3")
    with pytest.raises(FormatError, match=r"node 'mlp 3': a head is written layer.index"):
        from_networkx(graph)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"nodes": 5, "edges": []}', "3"])
def test_files_that_are_none(text):
    with pytest.raises(FormatError, match=r"node-link|n_layers"):
        from_node_link(text)


def test_files_of_networkx_2():
    links = nx.node_link_data(to_networkx(CIRCUIT), edges="links")
    assert import_circuit(json.dumps(links)).circuit == CIRCUIT
