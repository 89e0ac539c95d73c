"""Masks of every size from one score for each edge: the best get weights near 1, others near 0.

A sigmoid whose middle is moved until the weights add up to the size, as MAttr has it (arXiv
2609.25518), and the climbing of scores along what the weights are worth. Knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.runtime.progress import SILENT, Progress

OfEdges = Float[Tensor, " edge"]
SlopesOfWeights = Callable[[OfEdges, int], OfEdges]
"""From weights, and the number of the step, to how fast what is wanted grows with each weight."""


def climb(
    scores: OfEdges,
    optimizer: torch.optim.Optimizer,
    sizes: Sequence[int],
    slopes_at: SlopesOfWeights,
    temperature: float,
    progress: Progress = SILENT,
) -> None:
    """Move scores by an optimizer of theirs, one step for each size of the mask."""
    for step, size in enumerate(sizes):
        weights = soft_top(scores, size, temperature)
        scores.grad = _slopes_of_scores(slopes_at(weights, step), weights, temperature)
        optimizer.step()
        progress((step + 1) / len(sizes))


def soft_top(scores: OfEdges, n: int, temperature: float) -> OfEdges:
    """Weights that add up to n: near 1 for the best n scores, near 0 for the others.

    >>> soft_top(torch.tensor([9.0, 5.0, 1.0]), 2, temperature=0.5).round(decimals=2)
    tensor([1., 1., 0.])
    """
    low, high = scores.min() - 40 * temperature, scores.max() + 40 * temperature
    for _ in range(40):
        middle = (low + high) / 2
        too_many = torch.sigmoid((scores - middle) / temperature).sum() > n
        low, high = (middle, high) if too_many else (low, middle)
    return torch.sigmoid((scores - (low + high) / 2) / temperature)


def _slopes_of_scores(slopes: OfEdges, weights: OfEdges, temperature: float) -> OfEdges:
    """The way back through `soft_top`, whose weights always add up to as much."""
    steepness = weights * (1 - weights) / temperature
    share = steepness / steepness.sum().clamp_min(1e-9)
    return steepness * (slopes - (share * slopes).sum())
