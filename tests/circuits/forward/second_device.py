"""A second device for a machine that has one: its tensors hold their numbers here.

They say that they are on the device "meta", and an operation on tensors of both devices raises an
error, as between a CPU and a GPU. Indices and single numbers may come from here. What a program has
to wait for is counted: numbers that are asked for here, and results whose size depends on numbers.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, no_type_check

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from transformer_lens.model_bridge import TransformerBridge

SECOND = torch.device("meta")
_TAKES_BOTH = {"index", "index_put", "index_put_", "_to_copy", "copy_"}
_WAITS = {"nonzero", "_unique2", "unique_dim", "unique_consecutive", "masked_select", "equal"}


class OnSecond(Tensor):
    """A tensor of the second device."""

    @staticmethod
    @no_type_check
    def __new__(cls, data):
        return Tensor._make_wrapper_subclass(
            cls,
            data.shape,
            strides=data.stride(),
            storage_offset=data.storage_offset(),
            dtype=data.dtype,
            device=SECOND,
        )

    @no_type_check
    def __init__(self, data):
        self.here = data

    @no_type_check
    def __getitem__(self, index):
        return super().__getitem__(_indices(index))

    @no_type_check
    def __setitem__(self, index, value):
        super().__setitem__(_indices(index), value)

    def tolist(self) -> Any:
        _wait("tolist")
        return self.here.tolist()

    def data_ptr(self) -> int:
        return self.here.data_ptr()

    @classmethod
    @no_type_check
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class SecondDevice(TorchDispatchMode):
    """While it is entered, tensors can be made on the second device and moved there.

    `waits` counts what the program has had to wait for since, by operation.
    """

    def __enter__(self) -> Any:
        self.waits: Counter[str] = Counter()
        _counters.append(self.waits)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        _counters.remove(self.waits)
        super().__exit__(*error)

    @no_type_check
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


_counters: list[Counter[str]] = []


def _wait(name: str) -> None:
    for counter in _counters:
        counter[name] += 1


@no_type_check
def _run(func, args, kwargs):
    name = func._overloadpacket.__name__
    given = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
    is_second = any(isinstance(one, OnSecond) for one in given)
    if name in _TAKES_BOTH:
        # What is indexed says where the result is; its indices may be here, and not there alone.
        is_second = isinstance(args[0], OnSecond)
        if name[:5] == "index" and not is_second and any(isinstance(g, OnSecond) for g in given):
            raise RuntimeError(f"{name}: a tensor here is indexed by one of the second device")
    elif is_second and any(one.dim() and not one.is_meta for one in given):
        raise RuntimeError(f"{name}: tensors of two devices")
    target = kwargs.get("device")
    if target is not None:
        is_second, kwargs = torch.device(target) == SECOND, {**kwargs, "device": "cpu"}
    found = func(*tree_map(_here, args), **tree_map(_here, kwargs))
    reads_second = any(isinstance(one, OnSecond) for one in given)
    if reads_second and (not is_second or _must_be_waited_for(name, args, found)):
        _wait(name)
    if name.endswith("_") and not name.startswith("_"):
        return args[0]
    return tree_map(_there, found) if is_second else found


@no_type_check
def _must_be_waited_for(name, args, found) -> bool:
    if name.startswith("index") and any(
        isinstance(one, OnSecond) and one.dtype in (torch.bool, torch.uint8)
        for one in tree_flatten(args[1:])[0]
    ):
        return True
    return name in _WAITS or not isinstance(found, Tensor | tuple | list | None)


def _indices(index: Any) -> Any:
    """Lists as tensors from here: torch makes tensors of them that ask no mode."""
    if isinstance(index, tuple):
        return tuple(map(_indices, index))
    return torch.tensor(index, dtype=torch.long) if isinstance(index, list) else index


def _here(given: Any) -> Any:
    if isinstance(given, OnSecond):
        return given.here
    # `torch.tensor([], device=...)` asks no mode; it has no numbers to lose.
    is_empty = isinstance(given, Tensor) and given.is_meta and not given.numel()
    if isinstance(given, Tensor) and given.is_meta and not is_empty:
        raise RuntimeError("a tensor of the second device has no numbers")
    return torch.empty(given.shape, dtype=given.dtype) if is_empty else given


def _there(found: Any) -> Any:
    return OnSecond(found) if isinstance(found, Tensor) else found


def spread(bridge: TransformerBridge, first: int) -> None:
    """Move the layers from `first` on, and what is behind them, as accelerate would do it."""
    model: Any = bridge.original_model
    behind = [*bridge.blocks[first:], bridge.ln_final, bridge.unembed]
    for block in behind:
        move(block)
        block.register_forward_pre_hook(_bring, with_kwargs=True)
    model.register_forward_hook(lambda module, given, found: tree_map(_back, found))
    bridge.unembed.register_forward_hook(lambda module, given, found: _back(found))


def move(module: nn.Module) -> None:
    """Move weights and buffers to the second device."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None and not isinstance(weight, OnSecond):
                there = OnSecond(weight.detach().clone())
                part._parameters[name] = nn.Parameter(there, requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = OnSecond(buffer.detach().clone())


def _bring(module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
    return tree_map(_to_second, args), tree_map(_to_second, kwargs)


def _to_second(given: Any) -> Any:
    return given.to(SECOND) if isinstance(given, Tensor) else given


def _back(found: Any) -> Any:
    return found.to("cpu") if isinstance(found, Tensor) else found
