"""Mask attribution: what each head adds on the way from all heads ablated to all of them.

Every head's output is w z + (1 - w) z_corrupted. A head's score is the mean slope of the metric by
its own weight while the weights of all go from 0 to 1 together: integrated gradients over weights
(Sundararajan et al. 2017, arXiv 1703.01365). The scores of all heads add up to m(all) - m(none),
which tells whether the slopes were taken at enough weights. A softmax that is saturated at both
ends, so that first-order scores see nothing behind it, is not in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from circuits.ablation import CorruptedOutputs, HeadOutputs, ablated_metric, weighted_gradients
from circuits.forward.activations import Activations
from circuits.scores.scorer import Scorer

GradientsAt = Callable[[float], Float[Tensor, "prompt *part"]]
"""Slopes of each prompt's metric by every part's weight, where all parts have one weight."""

_FEWEST, _MOST = 2, 54
_TOLERANCE, _TOLERANCE_PER_PROMPT = 0.15, 0.3


@dataclass(frozen=True, eq=False)
class MaskScores:
    """Scores of heads, or edges, and how nearly they add up to what all of them together do.

    Attributes:
        per_prompt: Of every head on each prompt, in units of the metric.
        n_weights: At how many weights the slopes were taken.
        explained: Sum of the mean scores, as a share of m(all) - m(none): 1 where nothing is
            missing.
        error: Mean |sum of a prompt's scores - (m(all) - m(none))|, as a share of its mean size.

    >>> scores = mask_scores(Activations(model, pairs))
    >>> scores.per_prompt.shape, abs(scores.explained - 1) < 0.15
    (torch.Size([4, 3, 4]), True)
    """

    per_prompt: Float[Tensor, "prompt *part"]
    n_weights: int
    explained: float
    error: float

    @property
    def mean(self) -> Float[Tensor, "*part"]:
        """Over the prompts."""
        return self.per_prompt.mean(0)

    @property
    def has_converged(self) -> bool:
        """Whether the slopes were taken at enough weights."""
        return abs(self.explained - 1) <= _TOLERANCE and self.error <= _TOLERANCE_PER_PROMPT


def mask_scores(activations: Activations, replaced: HeadOutputs | None = None) -> MaskScores:
    """Score all heads of a model on some prompts.

    Two gradient passes where these suffice, and 6, 18 or 54 where the scores do not add up.

    Args:
        activations: The model on the prompts.
        replaced: What heads give at weight 0; their outputs on the corrupted prompts without.

    >>> mask_scores(Activations(model, pairs)).mean.shape
    torch.Size([3, 4])
    """
    model, metric = activations.model, activations.metric
    everything = torch.ones(model.n_layers, model.n_heads, dtype=torch.bool)
    runs = [
        (batch, CorruptedOutputs.known(batch.paired) if replaced is None else replaced)
        for batch in activations.batches
    ]

    def gradients_at(weight: float) -> Float[Tensor, "prompt layer head"]:
        found = torch.zeros(len(activations.pairs), *everything.shape)
        for batch, outputs in runs:
            run = weighted_gradients(model, batch.pairs, outputs, everything, weight, metric)
            found[batch.prompts] = run.gradients
        return found

    without = torch.zeros(len(activations.pairs))
    for batch, outputs in runs:
        none = ablated_metric(model, batch.pairs, outputs, [frozenset()], metric)
        without[batch.prompts] = none[0].float().cpu()
    return integrated(gradients_at, activations.clean_metric.float().cpu() - without)


def integrated(gradients_at: GradientsAt, span: Float[Tensor, " prompt"]) -> MaskScores:
    """Mean slopes by the midpoint rule, at three times as many weights until they add up.

    The midpoints of n equal parts of [0, 1] are among those of 3 n: none is run twice.

    Args:
        gradients_at: Slopes at a weight.
        span: m(all) - m(none) of each prompt.

    >>> linear = integrated(lambda weight: torch.ones(5, 2, 3), span=torch.full((5,), 6.0))
    >>> linear.n_weights, linear.explained, linear.error
    (2, 1.0, 0.0)
    """
    known: set[Fraction] = set()
    total: Float[Tensor, "prompt *part"] | None = None
    n = _FEWEST
    while True:
        weights = {Fraction(2 * part + 1, 2 * n) for part in range(n)}
        for weight in sorted(weights - known):
            slopes = gradients_at(float(weight))
            total = slopes if total is None else total + slopes
        known |= weights
        assert total is not None
        found = _measured(total / n, n, span)
        if found.has_converged or 3 * n > _MOST:
            return found
        n *= 3


def _measured(
    scores: Float[Tensor, "prompt *part"], n: int, span: Float[Tensor, " prompt"]
) -> MaskScores:
    sums = reduce(scores, "prompt ... -> prompt", "sum").double()
    explained = float(sums.sum() / span.double().sum())
    error = float((sums - span).abs().sum() / span.double().abs().sum())
    return MaskScores(scores, n, explained, error)


MASK_ATTRIBUTION = Scorer(
    "mask-attribution",
    "what each head adds on the way from corrupted outputs of all heads to clean ones",
    lambda activations, settings: mask_scores(activations).mean,
)
