from .edge_values import EdgeEstimates, EdgeValues
from .estimators import ESTIMATORS, EdgeEstimator, ReceiverEstimator
from .measured import MeasuredEffects
from .paths import edge_sums, effect_table, path_effects
from .sums import EdgeSums

__all__ = [
    "ESTIMATORS",
    "EdgeEstimates",
    "EdgeEstimator",
    "EdgeSums",
    "EdgeValues",
    "MeasuredEffects",
    "ReceiverEstimator",
    "edge_sums",
    "effect_table",
    "path_effects",
]
