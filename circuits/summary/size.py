"""How large a circuit is, in words."""

from __future__ import annotations

from circuits.circuit import Circuit
from circuits.components import MLP


def counts(circuit: Circuit) -> dict[str, tuple[int, int]]:
    """Heads, and MLPs where these are nodes: how many, of how many."""
    found = {"heads": (len(circuit.heads), circuit.n_layers * circuit.n_heads)}
    if circuit.mlps == "nodes":
        n_mlps = sum(isinstance(node, MLP) for node in circuit.nodes)
        found["MLPs"] = n_mlps, circuit.n_layers
    return found


def size(circuit: Circuit) -> str:
    """Its heads, MLPs where these are nodes, and edges."""
    nodes = (f"{n} {name}" for name, (n, _) in counts(circuit).items())
    return ", ".join((*nodes, f"{len(circuit.edges):,} edges"))
