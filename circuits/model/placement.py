"""Where a model's weights are to be: on one device, or spread over several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from circuits.errors import ModelOptionError, NotEnoughMemoryError, cause
from circuits.runtime.precision import has_float64
from circuits.runtime.shortage import is_memory
from circuits.runtime.usual_device import usual_device

SPREAD = ("auto", "balanced", "balanced_low_0", "sequential")
"""Ways in which accelerate spreads layers over the devices of a machine."""
Devices = str | torch.device | Mapping[str, str | int]
"""One device, one of `SPREAD`, or the device of each module by its name."""
_DEVICES = "give cpu, or cuda on a machine with a GPU"


@dataclass(frozen=True)
class Placement:
    """Where weights are to be.

    Attributes:
        device: All of them; None: they are spread.
        spread: A way of `SPREAD`, or devices by module, as transformers takes them.

    """

    device: torch.device | None
    spread: str | dict[str, str | int] | None = None

    @classmethod
    def of(cls, device: Devices | None, dtype: torch.dtype) -> Placement:
        """What is asked for. Raises ModelOptionError where a device is not here, or lacks dtype."""
        device = usual_device() if device is None else device
        if isinstance(device, Mapping):
            for one in dict.fromkeys(device.values()):
                _device(f"cuda:{one}" if isinstance(one, int) else one, dtype)
            return cls(None, dict(device))
        if isinstance(device, str) and device in SPREAD:
            return cls(None, device)
        return cls(_device(device, dtype))

    @property
    def settings(self) -> dict[str, Any]:
        """What `from_pretrained` is given."""
        return {} if self.spread is None else {"device_map": self.spread}

    def place(self, model: PreTrainedModel, name: str) -> None:
        """Move a model that was read; one that is spread is there already.

        Raises:
            NotEnoughMemoryError: The device has too little memory.
            ModelOptionError: Some layers were left where they cannot be read.

        """
        if self.device is None:
            if any(weight.is_meta for weight in model.parameters()):
                raise ModelOptionError(
                    f"{name} does not fit in the memory of the devices that are here, so that "
                    "accelerate would bring its layers from elsewhere each time they run: give "
                    "dtype='bfloat16', more devices, or device='cpu'"
                )
            return
        try:
            torch.nn.Module.to(model, self.device)
        except (RuntimeError, MemoryError) as error:
            if not is_memory(error):
                raise
            raise NotEnoughMemoryError(
                f"{name} does not fit in the memory of {self.device}: try dtype='bfloat16', "
                "device='auto' where there are several, or device='cpu'"
            ) from error


def _device(device: str | torch.device | None, dtype: torch.dtype) -> torch.device:
    """The device that is asked for, which must be here and have the dtype."""
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    # A torch built without CUDA says so with an AssertionError.
    except (AssertionError, RuntimeError, NotImplementedError) as error:
        raise ModelOptionError(
            f"device {device} cannot be used here ({cause(error)}): {_DEVICES}"
        ) from error
    if chosen.type == "meta":
        raise ModelOptionError(f"device meta holds no weights: {_DEVICES}")
    if dtype == torch.float64 and not has_float64(chosen):
        raise ModelOptionError(f"device {chosen} has no float64: give dtype float32")
    return chosen
