"""How much a first-order estimate leaves out: the size of its second-order term.

A receiver's head output z changes by d; the metric f changes by f(z + d) - f(z), estimated as
g . d with g the gradient at z. By Taylor's theorem the error is d H d / 2 for some Hessian H of
the metric between z and z + d. Behind the head everything reads the residual stream through a
norm, and a norm's derivative changes by its own size when its input r changes by |r|: H is of the
order of |g| |W| / |r|, with W the head's output projection. So the error of a path is

    curvature * sum over tokens of |g| |d|^2 |W| / |r|

with a curvature that has no unit and is of order one, whatever the model, layer or metric. This
file computes the sum; the curvature is learned from paths that are run exactly (`verification`).

AtP* (Kramar et al. 2024, arXiv 2403.00745, section 3) describes where such estimates fail:
saturated softmax, and cancellation. The softmax is exact here (`sweep`), and where the terms of
g . d cancel, those of the sum above do not.
"""

from __future__ import annotations

import torch
from einops import einsum, rearrange, reduce
from jaxtyping import Float
from torch import Tensor

from circuits.components import HeadInput
from circuits.forward import Layer
from circuits.patching.receivers import group_sum


def token_weights(
    layer: Layer,
    head_input: HeadInput,
    heads: list[int],
    gradient: Float[Tensor, "token head d_head"],
    resid: Float[Tensor, "token d_model"],
) -> Float[Tensor, "token unit"]:
    """|g| |W| / |r| for each unit: a query head, or the heads that share a key/value head."""
    squared = reduce(gradient**2, "token head d -> token head", "sum")
    gain = reduce(layer.output.weight[heads] ** 2, "head d d_model -> head", "sum")
    size = (group_sum(layer, head_input, squared) * _group_mean(layer, head_input, gain)).sqrt()
    d_head = gradient.shape[-1]
    return size / (d_head**0.5 * rearrange(_norm(resid), "token -> token 1"))


def remainder_sizes(
    layer: Layer,
    head_input: HeadInput,
    change: Float[Tensor, "sender token head d_head"],
    weights: Float[Tensor, "token unit"],
) -> Float[Tensor, "sender token unit"]:
    """What each token adds to the sum, from the change of the head outputs."""
    squared = einsum(
        change, change, "sender token head d, sender token head d -> sender token head"
    )
    return group_sum(layer, head_input, squared) * weights


def value_weights(
    layer: Layer,
    kv_heads: list[int],
    pattern: Float[Tensor, "prompt unit group slot pos"],
    gradient: Float[Tensor, "prompt slot unit group d_head"],
    resid: Float[Tensor, "prompt slot d_model"],
) -> Float[Tensor, "prompt pos unit"]:
    """The same weights seen from the values, for changes of the layer's normed input.

    z is a mean of values, so its squared change is at most the same mean of theirs (Jensen), and a
    value changes by about the root mean square gain of its projection.
    """
    value_gain = reduce(layer.value.weight[kv_heads] ** 2, "unit d d_model -> unit", "sum")
    output_weights = layer.output.weight[layer.heads_of(kv_heads)]
    output_gain = reduce(output_weights**2, "head d d_model -> head", "sum")
    gain = _group_mean(layer, "v", output_gain).sqrt() * value_gain
    d_model, d_head = resid.shape[-1], gradient.shape[-1]
    size = reduce(gradient**2, "prompt slot unit group d -> prompt slot unit group", "sum").sqrt()
    per_slot = size / rearrange(_norm(resid), "prompt slot -> prompt slot 1 1")
    mixed = einsum(
        pattern, per_slot, "prompt unit group slot pos, prompt slot unit group -> prompt pos unit"
    )
    return mixed * gain / (d_head**0.5 * d_model)


def _group_mean(
    layer: Layer, head_input: HeadInput, per_head: Float[Tensor, " head"]
) -> Float[Tensor, " unit"]:
    summed = group_sum(layer, head_input, per_head)
    return summed * (len(summed) / len(per_head))


def _norm(x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch"]:
    return torch.linalg.vector_norm(x, dim=-1).clamp(min=torch.finfo(x.dtype).tiny)
