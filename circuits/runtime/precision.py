"""Float64, also of numbers from devices that have none."""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor


def in_float64(values: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
    """The values in float64: on their device, or on the CPU where that has no float64 (MPS)."""
    return (values if has_float64(values.device) else values.cpu()).double()


@cache
def has_float64(device: torch.device) -> bool:
    """Whether a device computes in float64."""
    try:
        torch.empty(0, dtype=torch.float64, device=device)
    except (RuntimeError, TypeError):
        return False
    return True
