from .attribution import attribution_scores
from .flap import HeadStatistics, Moments, head_scores
from .registry import SCORERS, Contrast, NodeScorer, ScoreSettings

__all__ = [
    "SCORERS",
    "Contrast",
    "HeadStatistics",
    "Moments",
    "NodeScorer",
    "ScoreSettings",
    "attribution_scores",
    "head_scores",
]
