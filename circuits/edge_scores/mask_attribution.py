"""Mask attribution of edges: what each adds on the way from all edges corrupted to all of them.

Every edge has the same weight w, and a score is the mean slope of the metric by the edge's own
weight while w goes from 0 to 1: integrated gradients over weights (Sundararajan et al. 2017, arXiv
1703.01365), as `circuits.scores.mask_scores` has it for heads. They add up to m(all) - m(none).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from circuits.edge_scores.gradients import Point, mean_gradients
from circuits.edge_scores.registry import EdgeScoreSettings
from circuits.edge_scores.scorer import FunctionScorer, PerPrompt
from circuits.masking import MaskedRuns
from circuits.runtime.progress import Progress
from circuits.scores import integrated


def _mask_attribution(
    runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress
) -> PerPrompt:
    def at(weights: list[float], part: Progress) -> PerPrompt:
        n_senders = len(runs.graph.senders)
        points = [Point(senders=torch.full((n_senders,), weight)) for weight in weights]
        return mean_gradients(runs, points, part, along="present")

    if settings.n_steps is not None:
        n = settings.n_steps
        return at([(2 * step + 1) / (2 * n) for step in range(n)], progress)

    parts = _halves(progress)

    def slopes(weight: float) -> Float[Tensor, "prompt receiver sender"]:
        found = at([weight], next(parts))
        return rearrange(found, "receiver sender prompt -> prompt receiver sender")

    ends = runs.activations.clean_metric, runs.activations.corrupted_metric
    found = integrated(slopes, ends[0].float() - ends[1].float())
    progress.note(
        f"at {found.n_weights} weights the scores of all edges add up to {found.explained:.0%} of "
        "what all edges do together"
    )
    return rearrange(found.per_prompt, "prompt receiver sender -> receiver sender prompt")


def _halves(progress: Progress) -> Iterator[Progress]:
    """Half of what is left, again and again: how many weights it takes is not known."""
    low = 0.0
    while True:
        yield progress.within(low, (1 + low) / 2)
        low = (1 + low) / 2


MASK_ATTRIBUTION = FunctionScorer(
    "mask-attribution",
    "what each edge adds on the way from all edges corrupted to all of them clean",
    _mask_attribution,
    ("n_steps",),
)
