"""Attention patterns, from the forward pass in pieces."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from einops import rearrange, reduce, repeat
from jaxtyping import Float, Int
from torch import Tensor

from circuits.forward.finite import check_finite
from circuits.forward.layers import Layer
from circuits.forward.model import LayeredModel
from circuits.forward.passes import LayerActivations, layer_by_layer


def patterns_by_layer(
    model: LayeredModel, tokens: Int[Tensor, "prompt pos"]
) -> Iterator[Float[Tensor, "prompt head query key"]]:
    """The attention patterns of all heads, layer by layer, run no further than they are asked for.

    Rows, over keys, sum to 1, and to less where a head has an attention sink; what a query cannot
    see has weight 0.

    Raises:
        NonFiniteError: A weight is NaN.

    >>> lowest = next(patterns_by_layer(layered, pairs.clean))
    >>> lowest.shape, bool(lowest.triu(1).any())  # no query sees what comes after it
    (torch.Size([4, 4, 8, 8]), False)
    """
    for layer, record in zip(model.layers, layer_by_layer(model, tokens), strict=True):
        patterns = _patterns(layer, record)
        largest = reduce(patterns, "prompt head query key -> prompt", "max")
        check_finite(model.bridge, "an attention pattern", largest, [tokens])
        yield patterns


def _patterns(layer: Layer, run: LayerActivations) -> Float[Tensor, "prompt head query key"]:
    n_prompts, length = run.resid_pre.shape[:2]
    positions = torch.arange(length, device=run.resid_pre.device)
    slots = repeat(positions, "query -> prompt query", prompt=n_prompts)
    grouped = layer.pattern(run.queries, run.keys, layer.allowed(slots, length))
    return rearrange(grouped, "prompt kv_head group query key -> prompt (kv_head group) query key")
