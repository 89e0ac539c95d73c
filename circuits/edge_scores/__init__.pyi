from .nodes import node_scores
from .registry import EDGE_SCORERS, EdgeScorer, EdgeScoreSettings
from .scorer import FunctionScorer
from .scores import edge_scores

__all__ = [
    "EDGE_SCORERS",
    "EdgeScoreSettings",
    "EdgeScorer",
    "FunctionScorer",
    "edge_scores",
    "node_scores",
]
