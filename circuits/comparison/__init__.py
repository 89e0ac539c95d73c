"""How well a circuit, or the scores behind it, agree with a reference, and what chance would do."""

from circuits.comparison.chance import Chance, Spread
from circuits.comparison.compare import (
    Agreement,
    Comparison,
    compare_circuits,
    head_rankings,
    rank_heads,
)
from circuits.comparison.connections import count_connections, effect_strengths, head_strengths
from circuits.comparison.ranking import Ranking, rank

__all__ = [
    "Agreement",
    "Chance",
    "Comparison",
    "Ranking",
    "Spread",
    "compare_circuits",
    "count_connections",
    "effect_strengths",
    "head_rankings",
    "head_strengths",
    "rank",
    "rank_heads",
]
