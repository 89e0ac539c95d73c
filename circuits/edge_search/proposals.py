"""Rankings of edges, each proposed on the prompts of a search."""

from __future__ import annotations

import torch

from circuits.edge_search.descent import Descent, best_of, descend, places
from circuits.edge_search.learning import Learning, learn
from circuits.edge_search.slopes import PromptsInTurn
from circuits.patching import EdgeValues
from circuits.runtime.progress import SILENT, Progress

_TRIED_ON = 8
"""Prompts on which it is found out about how many edges keep enough."""
_SMALLER, _LARGER = 1.6, 2.5
"""Masks are learned of circuits from so many times fewer edges to so many times more."""
_PRECISION = 1.15
_FEWEST = 5


def ranked_in_context(
    prompts: PromptsInTurn, keep: float | int, seed: int = 0, progress: Progress = SILENT
) -> EdgeValues:
    """Edges by the company they keep: left out in rounds, then learned at about the size wanted.

    Args:
        prompts: Of the search.
        keep: Faithfulness that the circuit is to have, 1 that of the model.
        seed: Of the sizes that masks are learned at.
        progress: Hears of the fraction done.

    Returns:
        The place of each edge, the best highest; the first n are a circuit of n edges.

    >>> ranking = ranked_in_context(PromptsInTurn(layered, pairs, metric), keep=0.5)
    >>> ranking.n_known == ranking.graph.n_edges
    True
    """
    first, second = progress.parts(0.6, 0.4)
    graph = prompts.graph
    settings = Descent(floor=keep + 0.25)
    left = descend(prompts, prompts.faithfulness, graph, settings, first)
    n = _n_enough(prompts, left.scores, left.kept, keep)
    sizes = max(1, int(n / _SMALLER)), max(1, min(int(_LARGER * n), int(left.kept.sum())))
    learned = learn(prompts, left.kept, left.scores, Learning(sizes, seed=seed), second)
    return EdgeValues(graph, places([learned, left.places], graph))


def _n_enough(
    prompts: PromptsInTurn, scores: torch.Tensor, among: torch.Tensor, keep: float | int
) -> int:
    """About how many of the best edges keep enough on some prompts of the search."""
    low, high = _FEWEST, int(among.sum())
    while high > low * _PRECISION:
        middle = round((low * high) ** 0.5)
        kept = best_of(scores, among, middle, prompts.graph)
        enough = prompts.faithfulness(kept.float(), _TRIED_ON, 0) >= keep
        low, high = (low, middle) if enough else (middle, high)
    return high
