"""Small circuits, and the graphs that they are written as."""

import json

from circuits import Circuit, Edge, Head, Receiver
from circuits.formats import GraphShape, to_eap_graph
from tests.circuits.strategies import N_LAYERS

SHAPE = GraphShape(N_LAYERS, 2, 2, d_model=8)
GROUPED = GraphShape(N_LAYERS, 4, 2, d_model=8)


def circuit_of(*edges, n_heads=2):
    found = frozenset(
        Edge(Head.parse(sender), Receiver.parse(receiver), effect)
        for sender, receiver, effect in edges
    )
    ends = {e.sender for e in found} | {e.receiver.head for e in found if e.receiver.head}
    return Circuit(frozenset(ends), found, N_LAYERS, n_heads)


def written(circuit, shape=SHAPE, **settings):
    return json.loads(to_eap_graph(circuit, shape, **settings).text)


def in_graph(data):
    return {name for name, edge in data["edges"].items() if edge["in_graph"]}
