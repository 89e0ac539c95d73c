"""What EAP-IG calls the nodes and edges of a model's graph."""

from dataclasses import replace

import pytest

from circuits.components import HEAD_INPUTS
from circuits.errors import FormatError
from circuits.formats.eap_names import edge_name, node_name, parse_edge, parse_node
from circuits.graph import ModelGraph
from tests.circuits.formats.graphs import GROUPED, NODES


def names(graph):
    return [edge_name(edge) for edge in graph.edges]


@pytest.mark.parametrize(("n_layers", "n_heads", "edges"), [(12, 12, 32491), (6, 4, 1108)])
def test_there_are_as_many_edges_as_theirs(n_layers, n_heads, edges):
    """EDGE_COUNTS in MIB_circuit_track/evaluation.py of github.com/mttk/
    MIB-circuit-track-autoeval at 730dd7ad19c700b91c4ed3637a4f2436e1a71a7f: GPT-2 and
    InterpBench."""
    graph = ModelGraph(n_layers, n_heads, n_heads, mlps="nodes")
    assert len(set(names(graph))) == graph.n_edges == edges


def test_the_smallest_graph():
    graph = ModelGraph(1, 1, 1, mlps="nodes")
    into_head = [f"input->a0.h0<{name}>" for name in HEAD_INPUTS]
    to_logits = ["input->logits", "a0.h0->logits", "m0->logits"]
    assert names(graph) == [*into_head, "input->m0", "a0.h0->m0", *to_logits]
    assert [node_name(node) for node in graph.senders] == ["input", "a0.h0", "m0"]
    parallel = names(replace(graph, parallel_mlp=True))
    assert parallel == [name for name in names(graph) if name != "a0.h0->m0"]


@pytest.mark.parametrize("graph", [NODES, replace(GROUPED, parallel_mlp=True, mlps="nodes")])
def test_names_are_read_back(graph):
    edges = list(graph.edges)
    assert [parse_edge(edge_name(edge)) for edge in edges] == edges
    assert len(set(edges)) == len(edges)
    assert all(graph.reads(edge.receiver, edge.sender) for edge in edges)
    assert [parse_node(node_name(node)) for node in graph.senders] == list(graph.senders)


@pytest.mark.parametrize("name", ["", "a0.h0", "a0->m1", "logits->m1", "a0.h0->a1.h0", "m1->m"])
def test_what_is_no_name(name):
    with pytest.raises(FormatError, match="names no"):
        parse_edge(name)


@pytest.mark.parametrize("name", ["", "a0", "h0", "m", "a0.h0<q>", "m0->m1"])
def test_what_is_no_node(name):
    with pytest.raises(FormatError, match="names no node"):
        parse_node(name)
