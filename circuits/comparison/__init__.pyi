from .compare import Agreement, Comparison, compare_circuits, head_rankings, rank_heads
from .edges import count_connections, effect_strengths, head_strengths

__all__ = [
    "Agreement",
    "Comparison",
    "compare_circuits",
    "count_connections",
    "effect_strengths",
    "head_rankings",
    "head_strengths",
    "rank_heads",
]
