"""Learned masks: a score for each of some edges, by which circuits of every size do well.

Each step draws a size, gives the best so many edges weights near 1 and the others weights near 0,
and moves scores along the slope of faithfulness. So a score is what an edge is worth in circuits of
many sizes (as MAttr learns it, arXiv 2609.25518); begun from scores that are good already, a few
dozen steps do. Knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.edge_search.slopes import SlopesAt
from circuits.errors import SettingError
from circuits.masking.soft_top import climb
from circuits.runtime.progress import SILENT, Progress

_SMALLEST = 0.02
"""A weight below is 0: what nothing else reads then need not be run."""
_BETAS, _EPSILON = (0.9, 0.95), 1e-4


@dataclass(frozen=True)
class Learning:
    """How masks are learned.

    Attributes:
        sizes: The smallest and the largest circuit; the logarithm of the size is drawn evenly.
        n_steps: How many sizes are drawn.
        temperature: How softly weights fall from 1 to 0, in units of scores.
        rate: How far a step goes.
        ceiling: Faithfulness from which on a circuit teaches nothing.
        n_prompts: On how many prompts in turn each slope is taken.
        seed: Of the sizes.

    Raises:
        SettingError: The sizes do not rise from at least 1.

    >>> Learning((50, 200)).n_steps
    40
    """

    sizes: tuple[int, int]
    n_steps: int = 40
    temperature: float = 0.5
    rate: float = 0.3
    ceiling: float = 1.1
    n_prompts: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = self.sizes
        if not 1 <= low <= high:
            raise SettingError(f"sizes must rise from at least 1, got {low} and {high}")


def learn(
    slopes_at: SlopesAt,
    among: Bool[Tensor, "receiver sender"],
    scores: Float[Tensor, "receiver sender"],
    settings: Learning,
    progress: Progress = SILENT,
) -> Float[Tensor, "receiver sender"]:
    """Scores of some edges, learned from where given ones rank them; -inf for all others.

    >>> from circuits.edge_search import Slopes
    >>> among, slopes = torch.ones(1, 4).bool(), torch.tensor([[0.0, 0.0, 1.0, 0.0]])
    >>> taught = learn(
    ...     lambda weights, *_: Slopes(0.0, slopes),
    ...     among,
    ...     torch.tensor([[3.0, 2.0, 1.0, 0.0]]),
    ...     Learning((1, 2)),
    ... )
    >>> int(taught.argmax())
    2
    """
    learned = _logits_of_ranks(scores[among])
    optimizer = torch.optim.Adam(
        [learned], lr=settings.rate, betas=_BETAS, eps=_EPSILON, maximize=True
    )
    draw = np.random.default_rng(settings.seed)
    low, high = np.log(settings.sizes)
    drawn = [int(np.exp(draw.uniform(low, high))) for _ in range(settings.n_steps)]
    sizes = [min(size, len(learned) - 1) for size in drawn]
    weights = torch.zeros(among.shape)

    def slopes_of_weights(soft: Float[Tensor, " edge"], step: int) -> Float[Tensor, " edge"]:
        weights[among] = torch.where(soft < _SMALLEST, 0.0, soft)
        slopes = slopes_at(weights, settings.n_prompts, step)
        # Nothing is learned from circuits that do more than the whole model, little near it.
        share = float(np.clip(2 * (settings.ceiling - slopes.faithfulness), 0, 1))
        return share * slopes.values[among]

    climb(learned, optimizer, sizes, slopes_of_weights, settings.temperature, progress)
    return torch.full(among.shape, -torch.inf).masked_scatter(among, learned)


def _logits_of_ranks(scores: Float[Tensor, " edge"]) -> Float[Tensor, " edge"]:
    ranks = scores.argsort(stable=True).argsort(stable=True).float()
    return torch.logit(0.01 + 0.98 * ranks / max(len(scores), 1))
