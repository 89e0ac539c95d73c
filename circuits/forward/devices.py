"""Where the pieces of a model are; its layers may be on several devices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge

from circuits.forward.projections import TensorMap


def device_of(module: nn.Module) -> torch.device:
    """Where a module's first weights are: of a model, those that read tokens."""
    return next(module.parameters()).device


def devices_of(bridge: TransformerBridge) -> tuple[torch.device, ...]:
    """Every device that weights are on, that of the tokens first."""
    return tuple(dict.fromkeys(weight.device for weight in bridge.parameters()))


def entering(function: TensorMap, owner: nn.Module, bridge: TransformerBridge) -> TensorMap:
    """A function as it is; for a model on several devices, run where its owner's weights are."""
    own = next((weight.device for weight in owner.parameters()), None)
    return function if own is None or len(devices_of(bridge)) == 1 else _Entering(function, own)


@dataclass(frozen=True, eq=False)
class _Entering:
    function: TensorMap
    device: torch.device

    def __call__(self, x: Tensor) -> Tensor:
        return self.function(x.to(self.device))
