from .attribution import attribution_scores
from .flap import HeadStatistics, Moments, head_scores
from .input_gradients import input_gradient_scores
from .mask_attribution import MaskScores, integrated, mask_scores
from .registry import SCORERS, Contrast, NodeScorer, ScoreSettings

__all__ = [
    "SCORERS",
    "Contrast",
    "HeadStatistics",
    "MaskScores",
    "Moments",
    "NodeScorer",
    "ScoreSettings",
    "attribution_scores",
    "head_scores",
    "input_gradient_scores",
    "integrated",
    "mask_scores",
]
