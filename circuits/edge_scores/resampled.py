"""How much a choice of the best edges depends on which prompts there were."""

from __future__ import annotations

from dataclasses import replace

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.edge_scores.selection import By, check_prompts, worth_of
from circuits.errors import SettingError
from circuits.patching import EdgeValues
from circuits.statistics import Bootstrap

_SCORES_TOGETHER = 10_000_000


def top_edge_frequencies(
    scores: EdgeValues, n: int, by: By = "signed", bootstrap: Bootstrap | None = None
) -> EdgeValues:
    """On what share of resampled prompts each edge is among the best n, as `top_edges` takes them.

    No model is run: prompts are drawn with replacement from those that were scored, and their
    scores averaged anew. It says how far the ranking of these scores at n is decided by the prompts
    that there are. It does not say how often another discovery would choose the edge: a discovery
    scores anew what it has cut, and chooses on other prompts (`discover_seeds` repeats all of it).
    Nor is it the probability that the edge matters: resamples vary about these prompts, and an
    error that all of them share is in every one.

    Args:
        scores: By prompt.
        n: How many edges are taken on each resample.
        by: "signed" or "absolute".
        bootstrap: How many resamples, and their seed.

    Returns:
        A share for every edge, NaN for those that have no score.

    Raises:
        InputError: The scores have no prompt axis, or fewer than 2 prompts.
        SettingError: n is below 1, or `by` is unknown.

    >>> from circuits.edge_scores import edge_scores
    >>> often = top_edge_frequencies(edge_scores(model, pairs, "eap"), 20)
    >>> round(float(often.values.nansum()), 3)  # 20 edges on every resample
    20.0
    """
    check_prompts(scores)
    known = rearrange(worth_of(scores, by).isfinite(), "receiver sender -> (receiver sender)")
    if n < 1:
        raise SettingError(f"n must be at least 1 edge, got {n}")
    every = rearrange(scores.values, "receiver sender prompt -> (receiver sender) prompt")
    per_prompt = every.cpu()[known].double()
    draws = torch.from_numpy((bootstrap or Bootstrap()).draws(per_prompt.shape[1]))
    counts = torch.zeros(len(per_prompt), dtype=torch.float64)
    for some in draws.split(max(1, _SCORES_TOGETHER // max(1, len(per_prompt)))):
        sums = some.double() @ per_prompt.T
        counts += _best(sums.abs() if by == "absolute" else sums, n).sum(0)
    shares = torch.full((len(every),), torch.nan)
    shares[known] = (counts / len(draws)).float()
    return replace(scores, values=shares.reshape(scores.values.shape[:2]))


def _best(worth: Float[Tensor, "resample edge"], n: int) -> Bool[Tensor, "resample edge"]:
    """The n largest of each row; of equals those that come first."""
    n = min(n, worth.shape[1])
    if not n:
        return torch.zeros_like(worth, dtype=torch.bool)
    last = worth.topk(n, sorted=True).values[:, -1:]
    above, equal = worth > last, worth == last
    left = n - above.sum(-1, keepdim=True)
    return above | (equal & (equal.cumsum(-1) <= left))
