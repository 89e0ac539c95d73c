from .prune import (
    PerformanceOf,
    Pruning,
    find_cliff,
    keep_best,
    merged_candidates,
    prune,
    sparsities_of,
)
from .rule import CliffRule, PruningRule

__all__ = [
    "CliffRule",
    "PerformanceOf",
    "Pruning",
    "PruningRule",
    "find_cliff",
    "keep_best",
    "merged_candidates",
    "prune",
    "sparsities_of",
]
