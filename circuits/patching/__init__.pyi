from .edge_values import EdgeEstimates, EdgeSums, EdgeValues
from .estimators import ESTIMATORS, EdgeEstimator, ReceiverEstimator
from .measured import MeasuredEffects
from .paths import edge_sums, effect_table, path_effects

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
