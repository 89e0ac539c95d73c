"""Small circuits, and the graphs that they are written as."""

import json

from circuits import Circuit, Edge, Head, Receiver
from circuits.components import MLP, Embedding
from circuits.formats import GraphConfig, to_eap_graph
from circuits.graph import ModelGraph
from tests.circuits.strategies import N_LAYERS

GRAPH = ModelGraph(N_LAYERS, n_heads=2, n_kv_heads=2)
GROUPED = ModelGraph(N_LAYERS, n_heads=4, n_kv_heads=2)
NODES = ModelGraph(N_LAYERS, n_heads=2, n_kv_heads=2, mlps="nodes")
WIDE = GraphConfig(d_model=8)
EDGES = {
    Edge(Head(0, 1), Receiver.parse("2.0.q"), -0.25),
    Edge(Head(0, 1), Receiver.parse("2.0.v"), 0.5),
    Edge(Head(2, 0), Receiver.logits(), -1.0),
}
CIRCUIT = Circuit(frozenset({Head(0, 1), Head(1, 0), Head(2, 0)}), frozenset(EDGES), 3, 2)
"""Three edges, and a head without any."""

NODE_EDGES = {
    Edge(Embedding(), Receiver.mlp(0), 0.5),
    Edge(MLP(0), Receiver.parse("2.0.k"), -0.25),
    Edge(Head(2, 0), Receiver.mlp(2), -0.75),
    Edge(MLP(2), Receiver.logits(), -1.0),
}
NODE_CIRCUIT = Circuit(frozenset({Head(2, 0), Head(1, 1)}), frozenset(NODE_EDGES), 3, 2, "nodes")
"""Four edges with MLPs and the embedding, and a head without any."""


def circuit_of(*edges, n_heads=2):
    found = frozenset(
        Edge(Head.parse(sender), Receiver.parse(receiver), effect)
        for sender, receiver, effect in edges
    )
    ends = {e.sender for e in found} | {e.receiver.head for e in found if e.receiver.head}
    return Circuit(frozenset(ends), found, N_LAYERS, n_heads)


def written(circuit, graph=GRAPH, config=WIDE, effects=None):
    return json.loads(to_eap_graph(circuit, graph, effects, config).text)


def in_graph(data):
    return {name for name, edge in data["edges"].items() if edge["in_graph"]}
