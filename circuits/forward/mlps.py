"""The MLP of a block, dense or of experts, as one map on any number of states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class BlockMlp:
    """What a block's MLP adds to the residual stream.

    Experts are chosen anew for every state: a router that reads something else chooses others.

    Attributes:
        function: The MLP itself, on states with one dimension in front of their sequence; of
            several outputs the first is what it adds.
        multiplier: What that is multiplied by.
        n_weights: How many weights a state is multiplied by: of experts, those that are chosen.
        is_gated: Whether what it activates is multiplied with another linear map of its input.

    """

    function: Callable[[Tensor], Any]
    multiplier: float
    n_weights: int
    is_gated: bool = False

    def __call__(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        if not x.numel():
            return x
        added = self.function(rearrange(x, "... d_model -> 1 (...) d_model"))
        added = (added[0] if isinstance(added, tuple) else added).reshape(x.shape)
        return added if self.multiplier == 1.0 else added * self.multiplier


def block_mlp(block: Any) -> BlockMlp | None:
    """The MLP of a block of a bridge; None where there is none."""
    mlp: Any = block._modules.get("mlp")
    if mlp is None:
        return None
    whole: Any = mlp.original_component
    if whole is block.original_component:
        # The block has no module for its MLP, but its parts.
        parts = [mlp._modules[name].original_component for name in ("in", "out")]
        function, modules = nn.Sequential(parts[0], whole.activation_fn, parts[1]), parts
    elif "residual" in signature(whole.forward).parameters:
        # It adds the residual stream by itself.
        function, modules = lambda x: whole(x, torch.zeros_like(x)), [whole]
    else:
        function, modules = whole, [whole]
    n_weights = sum(map(_n_weights, modules))
    return BlockMlp(function, residual_multiplier(block), n_weights, "gate" in mlp._modules)


def residual_multiplier(block: Any) -> float:
    """What is multiplied with everything that a block adds to the residual stream."""
    return float(getattr(block.original_component, "residual_multiplier", 1.0))


def _n_weights(module: nn.Module) -> int:
    """Of experts, whose weights are stacked, as many as the router chooses."""
    chosen = [k for part in module.modules() if isinstance(k := getattr(part, "top_k", None), int)]
    total = 0
    for weight in module.parameters():
        if weight.ndim == 3 and chosen:
            total += weight[0].numel() * min(chosen[0], weight.shape[0])
        elif weight.ndim > 1:
            total += weight.numel()
    return total
