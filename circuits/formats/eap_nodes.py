"""Circuits whose nodes are MLPs and the embedding, too, and graphs of EAP-IG: the same things.

Every edge there is an edge here, with a score that is minus its effect, and nothing is lost either
way. `eap_export` and `eap_import` have what becomes of other circuits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from circuits.circuit import Circuit, circuit_of_edges, edge_mask
from circuits.components import MLP, Connection, Edge, Head, Node
from circuits.errors import InputError
from circuits.graph import ModelGraph
from circuits.patching import EdgeValues

Scores = Mapping[Connection, float]


def scores_of(
    circuit: Circuit, graph: ModelGraph, effects: EdgeValues | None
) -> tuple[dict[Connection, float], frozenset[Connection]]:
    """The scores of all edges that have one, and the edges of the circuit.

    Raises:
        MismatchError: The circuit has an edge that the graph has not.
        InputError: The effects are of paths between heads.

    """
    edge_mask(circuit, graph)
    found: dict[Connection, float] = {}
    if effects is not None:
        if not effects.graph.has_mlps:
            raise InputError(
                "MLPs are nodes of this circuit, and the effects given are of paths between heads: "
                'give those of edges on model.graph("nodes"), or none'
            )
        values = effects.values.double()
        for row, column in values.isfinite().nonzero().tolist():
            edge = Connection(effects.graph.senders[column], effects.graph.receivers[row])
            found[edge] = -float(values[row, column])
    found |= {edge.connection: -edge.effect for edge in circuit.edges}
    return found, circuit.connections


def circuit_of(
    model: ModelGraph, marked: Iterable[Node], members: Scores
) -> tuple[Circuit, tuple[str, ...]]:
    """A circuit of the nodes and edges that are in a graph of theirs, and what was left out."""
    marked = frozenset(marked)
    heads = frozenset(node for node in marked if isinstance(node, Head))
    inside = {edge: score for edge, score in members.items() if marked.issuperset(edge.ends)}
    edges = frozenset(Edge(edge.sender, edge.receiver, -s) for edge, s in inside.items())
    circuit = Circuit(heads, edges, model.n_layers, model.n_heads, "nodes")
    bare = sum(isinstance(node, MLP) for node in marked - circuit.nodes)
    n_outside = len(members) - len(inside)
    candidates = {
        "effects are minus the scores of the file": bool(edges),
        f"{n_outside:,} edges of nodes that are not in the graph were left out": n_outside > 0,
        f"{bare:,} MLPs in the graph have no edge there and were left out": bare > 0,
    }
    return circuit, tuple(note for note, holds in candidates.items() if holds)


def circuit_of_top(model: ModelGraph, scores: Scores, top: int) -> Circuit:
    """The edges of the highest absolute score, with the nodes at their ends."""
    effects = effects_of(model, scores)
    order = sorted(scores, key=lambda edge: -abs(scores[edge]))
    edges = torch.zeros(effects.values.shape, dtype=torch.bool)
    for edge in order[:top]:
        edges[model.row(edge.receiver), model.column(edge.sender)] = bool(scores[edge])
    return circuit_of_edges(model, edges, effects.values)


def effects_of(model: ModelGraph, scores: Scores) -> EdgeValues:
    """Minus every score of a file; NaN where it has none."""
    shape = len(model.receivers), len(model.senders)
    found = EdgeValues(model, torch.full(shape, torch.nan, dtype=torch.float64))
    for edge, score in scores.items():
        found.values[model.row(edge.receiver), model.column(edge.sender)] = -score
    return found
