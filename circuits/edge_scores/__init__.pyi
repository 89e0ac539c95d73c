from .nodes import node_scores
from .program import connected_edges
from .registry import EDGE_SCORERS, EdgeScorer, EdgeScoreSettings
from .resampled import top_edge_frequencies
from .scorer import FunctionScorer
from .scores import edge_scores
from .selection import positive_edges, reliable_edges, top_edges

__all__ = [
    "EDGE_SCORERS",
    "EdgeScoreSettings",
    "EdgeScorer",
    "FunctionScorer",
    "connected_edges",
    "edge_scores",
    "node_scores",
    "positive_edges",
    "reliable_edges",
    "top_edge_frequencies",
    "top_edges",
]
