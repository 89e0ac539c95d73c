"""Rankings of edges, each proposed on the prompts of a search."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.edge_search.descent import Descent, best_of, descend, places
from circuits.edge_search.learning import Learning, learn
from circuits.edge_search.slopes import PromptsInTurn
from circuits.patching import EdgeValues
from circuits.runtime.progress import SILENT, Progress

_AMPLE = 0.25
"""Faithfulness beyond what is to be kept, that edges are still left out in rounds at."""
_DESCENTS = 2
"""Begun on other prompts, they end at other edges; what either of them leaves can be learned."""
_TRIED_ON = 8
"""Prompts on which it is found out about how many edges keep enough."""
_SMALLER, _LARGER = 2.5, 1.7
"""Masks are learned of circuits from so many times fewer edges to so many times more."""
_STEPS = 24
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
    descents, learning = progress.parts(0.8, 0.2)
    graph = prompts.graph
    ways = [Descent(floor=keep + _AMPLE, first_turn=turn) for turn in range(_DESCENTS)]
    left = [
        descend(prompts, prompts.faithfulness, graph, way, part)
        for way, part in descents.each(ways)
    ]
    among = torch.stack([one.kept for one in left]).any(0)
    scores = torch.stack([_shares(one.scores, one.kept) for one in left]).mean(0)
    n = _n_enough(prompts, scores, among, keep)
    most = int(among.sum())
    sizes = max(1, int(n / _SMALLER)), max(1, min(int(_LARGER * n), most))
    learned = learn(prompts, among, scores, Learning(sizes, _STEPS, seed=seed), learning)
    behind = torch.stack([one.places for one in left]).mean(0)
    return EdgeValues(graph, places([learned, behind], graph))


def _shares(
    scores: Float[Tensor, "receiver sender"], among: Bool[Tensor, "receiver sender"]
) -> Float[Tensor, "receiver sender"]:
    """Of some edges, the share of them that are no better; 0 for all others."""
    ranks = scores[among].argsort().argsort().float()
    return torch.zeros(scores.shape).masked_scatter(among, (ranks + 1) / max(1, len(ranks)))


def _n_enough(
    prompts: PromptsInTurn,
    scores: Float[Tensor, "receiver sender"],
    among: Bool[Tensor, "receiver sender"],
    keep: float | int,
) -> int:
    """About how many of the best edges keep enough on some prompts of the search."""
    low, high = _FEWEST, int(among.sum())
    while high > low * _PRECISION:
        middle = round((low * high) ** 0.5)
        kept = best_of(scores, among, middle, prompts.graph)
        enough = prompts.faithfulness(kept.float(), _TRIED_ON, 0) >= keep
        low, high = (low, middle) if enough else (middle, high)
    return high
