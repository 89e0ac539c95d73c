"""A norm as a linear map: what it does to a small share of what it normalises."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from circuits.errors import UnsupportedModelError
from circuits.forward.projections import TensorMap

_LARGEST_ERROR = 1e-3
"""Of what a norm adds to its bias, relative to its size."""


@dataclass(frozen=True, eq=False)
class HeldNorm:
    """A layer or RMS norm whose scale is held at what it was on one input.

    The norm of a sum is then its bias and the sum of what each part becomes. Whether a norm centres
    and how it weights each dimension is found by asking it, not by its class.

    Attributes:
        weight: What every dimension is multiplied by.
        centres: Whether the mean over dimensions is subtracted first.
        scale: What the norm multiplied its input by.

    """

    weight: Float[Tensor, " d_model"]
    centres: bool
    scale: Float[Tensor, "*batch 1"]

    @classmethod
    def at(cls, norm: TensorMap, x: Float[Tensor, "*batch d_model"]) -> HeldNorm:
        """The norm as it is at `x`. Raises UnsupportedModelError where it is no such map."""
        signs = 1.0 - 2.0 * (torch.arange(x.shape[-1], device=x.device) % 2)
        probe = (signs - signs.mean()).to(x.dtype)
        probed, opposite = norm(probe), norm(-probe)
        bias = (probed + opposite) / 2
        weight = (probed - opposite) / (2 * probe)
        centres = torch.allclose(norm(probe + 1), probed, rtol=_LARGEST_ERROR)
        added = norm(x) - bias
        unscaled = cls(weight, centres, torch.ones_like(x[..., :1]))(x)
        scale = _dot(added, unscaled) / _dot(unscaled, unscaled)
        if (added - scale * unscaled).norm() > _LARGEST_ERROR * added.norm():
            raise UnsupportedModelError(
                f"{type(norm).__name__} is neither a layer norm nor an RMS norm: what a head adds "
                "to the logits through it is not defined"
            )
        return cls(weight, centres, scale)

    def __call__(
        self, part: Float[Tensor, "*parts d_model"]
    ) -> Float[Tensor, "*normed_parts d_model"]:
        """What a part of the input becomes; parts may have further dimensions in front."""
        centred = part - part.mean(-1, keepdim=True) if self.centres else part
        return self.scale * self.weight * centred


def _dot(
    x: Float[Tensor, "*batch d_model"], y: Float[Tensor, "*batch d_model"]
) -> Float[Tensor, "*batch 1"]:
    return reduce(x * y, "... d_model -> ... 1", "sum")
