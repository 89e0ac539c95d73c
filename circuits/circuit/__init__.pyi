from .circuit import Circuit
from .dead_ends import without_dead_ends
from .edge_sets import circuit_of_edges, edge_mask, edges_among, every_edge
from .overlap import Overlap

__all__ = [
    "Circuit",
    "Overlap",
    "circuit_of_edges",
    "edge_mask",
    "edges_among",
    "every_edge",
    "without_dead_ends",
]
