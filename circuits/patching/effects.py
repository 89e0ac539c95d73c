"""Path effects: sums over prompts while they are measured, normalised tables afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import HEAD_INPUTS, Head, HeadInput, Receiver


@dataclass(frozen=True, eq=False)
class EffectTable:
    """Normalised effects of every sender on every receiver input; NaN where there is no path.

    An effect is (metric - clean metric) / (clean metric - corrupted metric), means over prompts:
    0 does nothing, -1 does all the harm that corrupting everything does.
    """

    query: Float[Tensor, "layer head sender_layer sender_head"]
    key: Float[Tensor, "layer kv_head sender_layer sender_head"]
    value: Float[Tensor, "layer kv_head sender_layer sender_head"]
    logits: Float[Tensor, "sender_layer sender_head"]

    @classmethod
    def of_receivers(
        cls,
        known: Mapping[Receiver, Float[Tensor, "layer head"]],
        n_layers: int,
        n_heads: int,
        n_kv_heads: int,
    ) -> EffectTable:
        """A table of some receivers; NaN for all others."""
        tables = _missing_tables(n_layers, n_heads, n_kv_heads)
        logits = _missing(n_layers, n_heads)
        for receiver, effects in known.items():
            if receiver.head is None:
                logits[:] = effects
            else:
                head, head_input = receiver.on_head()
                table = tables[head_input]
                table[head.layer, head.index * table.shape[1] // n_heads] = effects
        return cls(tables["q"].float(), tables["k"].float(), tables["v"].float(), logits.float())

    def effects(self, receiver: Receiver) -> Float[Tensor, "layer head"]:
        """Effects of all senders on one receiver input (for k and v its group's)."""
        if receiver.head is None:
            return self.logits
        table = {"q": self.query, "k": self.key, "v": self.value}[receiver.input]
        n_heads, n_units = self.query.shape[1], table.shape[1]
        if receiver.head.layer >= table.shape[0] or receiver.head.index >= n_heads:
            raise ValueError(
                f"no receiver {receiver} in a model of {table.shape[0]} layers x {n_heads} heads"
            )
        return table[receiver.head.layer, receiver.head.index * n_units // n_heads]

    def tensors(self) -> dict[str, Tensor]:
        """The four tables by name, for saving."""
        return {"query": self.query, "key": self.key, "value": self.value, "logits": self.logits}


class EffectSums:
    """Metric changes summed over prompts, and what they are to be divided by."""

    def __init__(self, n_layers: int, n_heads: int, n_kv_heads: int) -> None:
        self._sums = _missing_tables(n_layers, n_heads, n_kv_heads)
        self._logits = _missing(n_layers, n_heads)
        self._scale = 0.0

    def add_scale(
        self, clean: Float[Tensor, " prompt"], corrupted: Float[Tensor, " prompt"]
    ) -> None:
        """Count a batch's clean and corrupted metric."""
        self._scale += float((clean.double() - corrupted.double()).sum())

    def add(
        self,
        layer: int,
        head_input: HeadInput,
        units: list[int],
        senders: tuple[Head, ...],
        change: Float[Tensor, "sender unit"],
    ) -> None:
        """Add a batch's changes for some units (query or key/value heads) of one layer."""
        rows, columns = _coordinates(senders)
        for position, unit in enumerate(units):
            _accumulate(self._sums[head_input][layer, unit], rows, columns, change[:, position])

    def add_logits(self, senders: tuple[Head, ...], change: Float[Tensor, " sender"]) -> None:
        """Add a batch's changes through the direct path to the logits."""
        _accumulate(self._logits, *_coordinates(senders), change)

    def table(self) -> EffectTable:
        """Normalise. Raises ValueError where clean and corrupted metric are equal."""
        scale = checked_scale(self._scale)
        query, key, value = ((self._sums[name] / scale).float() for name in HEAD_INPUTS)
        return EffectTable(query, key, value, (self._logits / scale).float())


def checked_scale(scale: float) -> float:
    """The summed difference of clean and corrupted metric, refused where it is zero."""
    if not abs(scale) > 1e-12:
        raise ValueError(
            f"clean minus corrupted metric is {scale:.3g}: effects are measured against that "
            "difference, so the task needs prompts that the corruption changes"
        )
    return scale


def _missing_tables(
    n_layers: int, n_heads: int, n_kv_heads: int
) -> dict[HeadInput, Float[Tensor, "layer unit sender_layer sender_head"]]:
    senders = (n_layers, n_heads)
    return {
        "q": _missing(n_layers, n_heads, *senders),
        "k": _missing(n_layers, n_kv_heads, *senders),
        "v": _missing(n_layers, n_kv_heads, *senders),
    }


def _missing(*shape: int) -> Tensor:
    return torch.full(shape, torch.nan, dtype=torch.float64)


def _coordinates(senders: tuple[Head, ...]) -> tuple[list[int], list[int]]:
    return [sender.layer for sender in senders], [sender.index for sender in senders]


def _accumulate(table: Tensor, rows: list[int], columns: list[int], change: Tensor) -> None:
    present = table[rows, columns].nan_to_num()
    table[rows, columns] = present + change.double().cpu()
