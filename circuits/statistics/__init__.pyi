from .chance import Chance, Spread
from .distribution import Distribution, Histogram, Outlier
from .inclusion import Included, Inclusions
from .inclusion_rule import InclusionRule
from .intervals import Bootstrap, Estimate, proportion
from .roc import RocCurve, roc_curve
from .significance import sign_flip_p_values, size_p_values

__all__ = [
    "Bootstrap",
    "Chance",
    "Distribution",
    "Estimate",
    "Histogram",
    "Included",
    "InclusionRule",
    "Inclusions",
    "Outlier",
    "RocCurve",
    "Spread",
    "proportion",
    "roc_curve",
    "sign_flip_p_values",
    "size_p_values",
]
