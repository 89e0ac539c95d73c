"""How far the scores that a method gives to heads tell true ones from others."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.components import Head
from circuits.patching import EffectTable


def head_strengths(
    effects: EffectTable | None, scores: Mapping[str, Float[Tensor, "layer head"]]
) -> Float[Tensor, "layer head"]:
    """What a method holds of each head: the largest |effect| of its paths, or its pruning score.

    A head without a measured path, because pruning left it out or the search did not get there, has
    strength 0. Of merged prunings, whose `scores` count where no path was patched, a head's better
    one does.
    """
    if effects is not None:
        return _strongest_path(effects)
    return torch.stack([values.double() for values in scores.values()]).amax(0)


def auc(scores: Float[Tensor, "layer head"], true_heads: frozenset[Head]) -> float:
    """Area under the ROC curve: how often a true head scores above another one; ties count half.

    By ranks (Mann and Whitney 1947). NaN where all heads are true, or none.
    """
    is_true: Bool[Tensor, "layer head"] = torch.zeros_like(scores, dtype=torch.bool)
    for head in true_heads:
        is_true[head.layer, head.index] = True
    above = rearrange(scores[is_true], "true -> true 1") - scores[~is_true]
    return float(((above > 0).double() + (above == 0).double() / 2).mean())


def _strongest_path(effects: EffectTable) -> Float[Tensor, "layer head"]:
    tables = [
        reduce(table.abs().nan_to_num(0.0), "to_layer to_head layer head -> layer head", "max")
        for table in (effects.query, effects.key, effects.value)
    ]
    tables.append(effects.logits.abs().nan_to_num(0.0))
    return torch.stack(tables).double().amax(0)
