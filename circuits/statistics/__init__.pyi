from .chance import Chance, Spread
from .distribution import Distribution, Histogram, Outlier
from .intervals import Bootstrap, Estimate
from .roc import Ranking, rank
from .significance import sign_flip_p_values

__all__ = [
    "Bootstrap",
    "Chance",
    "Distribution",
    "Estimate",
    "Histogram",
    "Outlier",
    "Ranking",
    "Spread",
    "rank",
    "sign_flip_p_values",
]
