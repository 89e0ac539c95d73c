from .attribution import attribution_scores
from .flap import Contrast, HeadStatistics, Moments, Statistic, head_scores

__all__ = [
    "Contrast",
    "HeadStatistics",
    "Moments",
    "Statistic",
    "attribution_scores",
    "head_scores",
]
