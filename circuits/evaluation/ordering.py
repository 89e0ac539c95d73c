"""Heads in the order in which a curve takes them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import Head
from circuits.errors import InputError, UnknownNameError
from circuits.evaluation.config import Ranking
from circuits.patching import EdgeValues

PATH_EFFECTS = "path-effects"


@dataclass(frozen=True, eq=False)
class HeadScores:
    """What heads are ranked by.

    Attributes:
        name: What it is called where it is printed.
        values: One number for each head, the higher the more the head helps; NaN: none.

    >>> ranked = HeadScores("attribution", scores)
    >>> print(order_heads(ranked.values, "signed")[0])
    1.2
    """

    name: str
    values: Float[Tensor, "layer head"]


def order_heads(scores: Float[Tensor, "layer head"], ranking: Ranking) -> list[Head]:
    """All heads, the best first; equal ones in order. A head without a score (NaN) has 0.

    >>> scores = torch.tensor([[0.1, -0.9], [0.5, torch.nan]])
    >>> [str(head) for head in order_heads(scores, "signed")]
    ['1.0', '0.0', '1.1', '0.1']
    >>> [str(head) for head in order_heads(scores, "absolute")]
    ['0.1', '1.0', '0.0', '1.1']
    """
    values = scores.nan_to_num(nan=0.0)
    order = torch.argsort(
        (values.abs() if ranking == "absolute" else values).flatten(), descending=True, stable=True
    )
    return [Head(*divmod(position, scores.shape[1])) for position in order.tolist()]


def effect_scores(effects: EdgeValues) -> Float[Tensor, "layer head"]:
    """Minus the sum of a head's effects on all receivers that were measured; NaN: on none.

    To first order, the share of the task that is lost where the head is corrupted for every
    receiver: a path's effect is that of corrupting it for one.

    >>> lost = effect_scores(effects)
    >>> lost.shape, str(order_heads(lost, "signed")[0])
    (torch.Size([3, 4]), '1.2')
    """
    values = effects.values
    return effects.by_head(-values.nansum(0).where(~values.isnan().all(0), torch.nan))


def choose_scores(
    effects: EdgeValues | None,
    prunings: Mapping[str, Float[Tensor, "layer head"]],
    name: str | None = None,
) -> HeadScores:
    """The scores of that name; the path effects without, else the first pruning's by name.

    Raises:
        UnknownNameError: There are no scores of that name.
        InputError: There are no scores at all.

    >>> choose_scores(effects, found.scores).name
    'path-effects'
    >>> choose_scores(None, found.scores).name  # as after pruning alone
    'attribution'
    """
    known = {} if effects is None else {PATH_EFFECTS: effect_scores(effects)}
    # Sorted, because a run that was saved and loaded has them in another order.
    known |= dict(sorted(prunings.items()))
    if not known:
        raise InputError("heads cannot be ranked: this run has no scores")
    chosen = next(iter(known)) if name is None else name
    if chosen not in known:
        raise UnknownNameError(
            f"heads cannot be ranked by {chosen!r}: this run has the scores {', '.join(known)}; "
            "name one of them"
        )
    return HeadScores(chosen, known[chosen])
