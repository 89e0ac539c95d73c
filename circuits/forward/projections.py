"""The linear maps between the residual stream and heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

TensorMap = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Projection:
    """From the residual stream to heads."""

    weight: Float[Tensor, "head d_head d_model"]
    bias: Float[Tensor, "head d_head"] | None

    def __call__(
        self, x: Float[Tensor, "*batch d_model"], heads: list[int] | None = None
    ) -> Float[Tensor, "*batch chosen d_head"]:
        weight = self.weight if heads is None else self.weight[heads]
        bias = self.bias if heads is None or self.bias is None else self.bias[heads]
        flat = functional.linear(
            x,
            rearrange(weight, "head d_head d_model -> (head d_head) d_model"),
            None if bias is None else rearrange(bias, "head d_head -> (head d_head)"),
        )
        return rearrange(flat, "... (head d_head) -> ... head d_head", head=weight.shape[0])


@dataclass(frozen=True, eq=False)
class ProjectionOut:
    """From heads back to the residual stream."""

    weight: Float[Tensor, "head d_head d_model"]
    bias: Float[Tensor, " d_model"] | None

    def __call__(self, z: Float[Tensor, "*batch head d_head"]) -> Float[Tensor, "*batch d_model"]:
        flat = rearrange(self.weight, "head d_head d_model -> d_model (head d_head)")
        return functional.linear(
            rearrange(z, "... head d_head -> ... (head d_head)"), flat, self.bias
        )

    def of_heads(
        self, z: Float[Tensor, "*batch chosen d_head"], heads: list[int]
    ) -> Float[Tensor, "*batch d_model"]:
        """The share of some heads, without the bias."""
        return einsum(z, self.weight[heads], "... head d_head, head d_head d_model -> ... d_model")

    def per_head(
        self, z: Float[Tensor, "*batch chosen d_head"], heads: list[int]
    ) -> Float[Tensor, "chosen *batch d_model"]:
        """The share of each of some heads on its own, heads first."""
        return einsum(
            z, self.weight[heads], "... head d_head, head d_head d_model -> head ... d_model"
        )


def projection_to(module: Any, n_heads: int) -> Projection:
    """The projection to some heads of a bridge. Raises TypeError where it is no linear map."""
    weight, bias = _weight_and_bias(module)
    return Projection(
        rearrange(weight, "(head d_head) d_model -> head d_head d_model", head=n_heads),
        None if bias is None else rearrange(bias, "(head d_head) -> head d_head", head=n_heads),
    )


def projection_from(module: Any, n_heads: int, multiplier: float) -> ProjectionOut:
    """The projection back, multiplied by what the residual stream is given of it."""
    weight, bias = _weight_and_bias(module)
    if multiplier != 1.0:
        weight, bias = weight * multiplier, None if bias is None else bias * multiplier
    split = rearrange(weight, "d_model (head d_head) -> head d_head d_model", head=n_heads)
    return ProjectionOut(split, bias)


def n_outputs(module: Any) -> int:
    """How many numbers a projection gives."""
    return _weight_and_bias(module)[0].shape[0]


def _weight_and_bias(module: Any) -> tuple[Float[Tensor, "out in"], Float[Tensor, " out"] | None]:
    linear = module.original_component
    if isinstance(linear, Conv1D):
        return linear.weight.detach().T, linear.bias.detach()
    if isinstance(linear, nn.Linear) and _is_linear(linear):
        return linear.weight.detach(), None if linear.bias is None else linear.bias.detach()
    raise TypeError(f"projection {module.name!r} is a {type(linear).__name__}, not a linear map")


def _is_linear(linear: nn.Linear) -> bool:
    """Whether a module gives what its weight and bias say: subclasses may do anything."""
    if type(linear) is nn.Linear:
        return True
    probe = torch.linspace(-1, 1, linear.in_features).to(linear.weight)
    with torch.no_grad():
        return torch.allclose(linear(probe), functional.linear(probe, linear.weight, linear.bias))
