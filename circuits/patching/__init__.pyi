from .edge_values import EdgeEstimates, EdgeValues
from .estimators import (
    DIRECT_ESTIMATORS,
    ESTIMATORS,
    EdgeEstimator,
    ReceiverEstimator,
    estimators_of,
)
from .measured import MeasuredEffects
from .paths import direct_effects, edge_sums, effect_table, path_effects
from .sums import EdgeSums

__all__ = [
    "DIRECT_ESTIMATORS",
    "ESTIMATORS",
    "EdgeEstimates",
    "EdgeEstimator",
    "EdgeSums",
    "EdgeValues",
    "MeasuredEffects",
    "ReceiverEstimator",
    "direct_effects",
    "edge_sums",
    "effect_table",
    "estimators_of",
    "path_effects",
]
