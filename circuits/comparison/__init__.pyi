from .compare import Agreement, Comparison, compare_circuits, head_roc_curve, head_roc_curves
from .edges import count_connections, distinct_connections, effect_strengths, head_strengths

__all__ = [
    "Agreement",
    "Comparison",
    "compare_circuits",
    "count_connections",
    "distinct_connections",
    "effect_strengths",
    "head_roc_curve",
    "head_roc_curves",
    "head_strengths",
]
