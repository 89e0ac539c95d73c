from .chance import Chance, Spread
from .distribution import Distribution, Histogram, Outlier
from .intervals import Bootstrap, Estimate
from .roc import RocCurve, roc_curve
from .significance import sign_flip_p_values, size_p_values

__all__ = [
    "Bootstrap",
    "Chance",
    "Distribution",
    "Estimate",
    "Histogram",
    "Outlier",
    "RocCurve",
    "Spread",
    "roc_curve",
    "sign_flip_p_values",
    "size_p_values",
]
