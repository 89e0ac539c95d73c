"""Edges chosen by their scores: functions that know no model.

All take `EdgeValues`; where these have a prompt axis, an edge's score is its mean over prompts.
Edges without a score (NaN) are not chosen. A tie is won by the edge that comes first in the graph.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.errors import InputError, SettingError, unknown_name
from circuits.patching import EdgeValues
from circuits.statistics import Bootstrap

By = Literal["signed", "absolute"]
"""Whether edges that help most are chosen, or those that change most either way."""
EdgeMask = Bool[Tensor, "receiver sender"]


def top_edges(scores: EdgeValues, n: int, by: By = "signed") -> EdgeMask:
    """The n edges of the largest score, or |score|; fewer where not so many have one.

    Args:
        scores: Of every edge, in any unit.
        n: How many.
        by: "signed", as MIB's CPR takes them, or "absolute", as its CMD does.

    Raises:
        SettingError: n is below 1, or `by` is unknown.

    >>> from circuits.edge_scores import edge_scores
    >>> chosen = top_edges(edge_scores(model, pairs, "eap"), 20)
    >>> chosen.shape, int(chosen.sum())
    (torch.Size([40, 16]), 20)
    """
    worth = worth_of(scores, by)
    if n < 1:
        raise SettingError(f"n must be at least 1 edge, got {n}")
    flat = rearrange(worth, "receiver sender -> (receiver sender)")
    order = flat.argsort(descending=True, stable=True)[: min(n, int(flat.isfinite().sum()))]
    chosen = torch.zeros(len(flat), dtype=torch.bool)
    chosen[order] = True
    return chosen.reshape(worth.shape)


def reliable_edges(
    scores: EdgeValues,
    n: int | None = None,
    by: By = "signed",
    least: float | int = 0.0,
    bootstrap: Bootstrap | None = None,
) -> EdgeMask:
    """Edges whose mean score is surely above `least`, and of these the best n.

    An edge stays where the bootstrap interval of its mean over prompts lies above `least`, or, by
    absolute scores, also below -`least`. The intervals are those of single edges: of a hundred
    edges that do nothing, two or three lie above 0 by chance.

    Args:
        scores: By prompt.
        n: How many at most; all that are reliable without.
        by: "signed" or "absolute".
        least: In the unit of the scores.
        bootstrap: Coverage, resamples and seed of the intervals.

    Raises:
        InputError: The scores have no prompt axis, or fewer than 2 prompts, as learned ones have.
        SettingError: `n` or `least` is out of range, or `by` is unknown.

    >>> from circuits.edge_scores import edge_scores
    >>> scores = edge_scores(model, pairs, "eap")
    >>> bool((reliable_edges(scores, 20) & ~top_edges(scores, 200)).any())
    False
    """
    check_prompts(scores)
    if least < 0:
        raise SettingError(f"least must be at least 0, got {least}")
    per_prompt = rearrange(scores.values, "receiver sender prompt -> (receiver sender) prompt")
    known = per_prompt.isfinite().all(-1)
    low, high = (bootstrap or Bootstrap()).of_means(per_prompt[known].double().cpu().numpy())
    sure = torch.as_tensor(low > least)
    if by == "absolute":
        sure |= torch.as_tensor(high < -least)
    chosen = torch.zeros(len(per_prompt), dtype=torch.bool)
    chosen[known] = sure
    chosen = chosen.reshape(scores.values.shape[:2])
    return chosen & top_edges(_only(scores, chosen), n or chosen.numel(), by)


def check_prompts(scores: EdgeValues) -> None:
    """Raise InputError where there are not two prompts or more, each with its scores."""
    if scores.values.ndim < 3 or scores.values.shape[2] < 2:
        raise InputError(
            "whether a score is reliable shows on 2 prompts or more, by prompt; got values of "
            f"shape {' x '.join(map(str, scores.values.shape))}: score more prompts, or take "
            "another score if this one is learned, which gives one number for all prompts"
        )


def positive_edges(scores: EdgeValues, share: float | int = 1.0) -> EdgeMask:
    """The fewest edges above 0 that hold a share of all that such edges add up to.

    Args:
        scores: Of every edge, in any unit.
        share: Of the sum of all scores above 0, above 0 and at most 1.

    Raises:
        SettingError: The share is out of range.

    >>> from circuits.edge_scores import edge_scores
    >>> scores = edge_scores(model, pairs, "eap")
    >>> half, every = (positive_edges(scores, share) for share in (0.5, 1))
    >>> bool((half & ~every).any()), bool((scores.values.mean(-1)[every] > 0).all())
    (False, True)
    """
    if not 0 < share <= 1:
        raise SettingError(f"share must be above 0 and at most 1, got {share}")
    worth = worth_of(scores, "signed").double()
    ranked = worth[worth > 0].sort(descending=True).values
    if share == 1 or not len(ranked):
        return worth > 0
    held = ranked.cumsum(0) / ranked.sum()
    return top_edges(scores, 1 + int((held < share).sum()))


def worth_of(scores: EdgeValues, by: By) -> Float[Tensor, "receiver sender"]:
    """What edges are ranked by, larger for better; -infinity of those without a score.

    Raises:
        SettingError: `by` is unknown.

    """
    if by not in get_args(By):
        raise SettingError(unknown_name("by", by, get_args(By)))
    mean = scores.values if scores.values.ndim == 2 else scores.values.mean(-1)
    worth = mean.abs() if by == "absolute" else mean
    return worth.nan_to_num(nan=-torch.inf).cpu()


def _only(scores: EdgeValues, edges: EdgeMask) -> EdgeValues:
    outside = ~edges[..., None] if scores.values.ndim == 3 else ~edges
    return EdgeValues(scores.graph, scores.values.masked_fill(outside, torch.nan))
