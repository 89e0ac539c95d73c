"""Circuits for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from circuits.circuit import Circuit
from circuits.components import HEAD_INPUTS, Edge, Head, Receiver, all_heads
from circuits.graph import ModelGraph

N_LAYERS, N_HEADS = 3, 2
# Outside of the strategy: what checks types draws items at random, which a strategy must not.
NODES = ModelGraph(N_LAYERS, N_HEADS, N_HEADS, mlps="nodes")
_EDGES_OF_NODES = tuple(NODES.edges)
_HEADS = {n_heads: all_heads(N_LAYERS, n_heads) for n_heads in (N_HEADS, 4)}


@st.composite
def circuits(draw, n_heads: int = N_HEADS) -> Circuit:
    heads = draw(st.frozensets(st.sampled_from(_HEADS[n_heads])))
    paths = [
        (sender, receiver)
        for sender in sorted(heads)
        for receiver in (
            Receiver.logits(),
            *(Receiver(head, i) for head in sorted(heads) for i in HEAD_INPUTS),
        )
        if receiver.head is None or sender.layer < receiver.head.layer
    ]
    chosen = draw(st.sets(st.sampled_from(paths))) if paths else set()
    effects = st.floats(-2, 2, allow_nan=False)
    edges = frozenset(Edge(*path, draw(effects)) for path in sorted(chosen))
    return Circuit(heads, edges, N_LAYERS, n_heads)


@st.composite
def node_circuits(draw) -> Circuit:
    """Circuits in which MLPs and the embedding are nodes."""
    chosen = draw(st.sets(st.sampled_from(_EDGES_OF_NODES), max_size=12))
    effects = st.floats(-2, 2, allow_nan=False)
    edges = frozenset(Edge(path.sender, path.receiver, draw(effects)) for path in sorted(chosen))
    heads = {end for edge in edges for end in edge.ends if isinstance(end, Head)}
    more = draw(st.frozensets(st.sampled_from(_HEADS[N_HEADS]), max_size=2))
    return Circuit(frozenset(heads) | more, edges, N_LAYERS, N_HEADS, "nodes")
