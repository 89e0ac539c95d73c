"""Path effects: sums over prompts while they are measured, normalised tables afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import Head, HeadInput, Receiver


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

    def shared(self, receiver: Receiver) -> Receiver:
        """The receiver itself; for k and v the first head's of those that share the input."""
        return receiver.shared(self.query.shape[1], self.key.shape[1])

    def replaced(self, known: Mapping[Receiver, Float[Tensor, "layer head"]]) -> EffectTable:
        """A copy in which every effect that is known, not NaN, stands in for the table's."""
        table = EffectTable(**{name: tensor.clone() for name, tensor in self.tensors().items()})
        for receiver, effects in known.items():
            row = table.effects(receiver)
            row.copy_(effects.where(~effects.isnan(), row))
        return table

    def tensors(self) -> dict[str, Tensor]:
        """The four tables by name, for saving."""
        return {"query": self.query, "key": self.key, "value": self.value, "logits": self.logits}


@dataclass(frozen=True, eq=False)
class SweptEffects:
    """Estimated effects, and how far off each may be.

    The estimate is first order behind the receiver. `remainders` holds the size of what it leaves
    out, in the same unit (see `remainder.py`): the error of a path is about its entry times a
    number of order one, which `verification` learns. It is zero for the logits, which are exact.
    """

    effects: EffectTable
    remainders: EffectTable

    def tensors(self) -> dict[str, Tensor]:
        """All tables by name, for saving."""
        remainders = {f"remainder.{name}": t for name, t in self.remainders.tensors().items()}
        return self.effects.tensors() | remainders

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> SweptEffects:
        """What `tensors` gave. Raises TypeError where a table is missing."""
        prefix = "remainder."
        remainders = {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
        effects = {k: t for k, t in tensors.items() if not k.startswith(prefix)}
        return cls(EffectTable(**effects), EffectTable(**remainders))


class PathSums:
    """One number for each path, summed over prompts.

    What is added stays on its device until `settle`, so that a GPU never waits for the host.
    """

    def __init__(self, n_layers: int, n_heads: int, n_kv_heads: int) -> None:
        self.sums: dict[str, Tensor] = {
            **_missing_tables(n_layers, n_heads, n_kv_heads),
            "logits": _missing(n_layers, n_heads),
        }
        self._waiting: list[tuple[str, tuple[int, ...], tuple[Head, ...], Tensor]] = []

    def add(
        self,
        layer: int,
        head_input: HeadInput,
        units: list[int],
        senders: tuple[Head, ...],
        values: Float[Tensor, "sender unit"],
    ) -> None:
        """Add to the paths into some units (query or key/value heads) of one layer."""
        for position, unit in enumerate(units):
            self._waiting.append((head_input, (layer, unit), senders, values[:, position]))

    def add_logits(self, senders: tuple[Head, ...], values: Float[Tensor, " sender"]) -> None:
        """Add to the direct paths to the logits."""
        self._waiting.append(("logits", (), senders, values))

    def settle(self) -> None:
        """Take in what was added."""
        for name, where, senders, values in self._waiting:
            table = self.sums[name][where]
            rows, columns = [s.layer for s in senders], [s.index for s in senders]
            table[rows, columns] = table[rows, columns].nan_to_num() + values.double().cpu()
        self._waiting.clear()

    def table(self, scale: float) -> EffectTable:
        """The sums divided by `scale`."""
        query, key, value, logits = (
            (self.sums[k] / scale).float() for k in ("q", "k", "v", "logits")
        )
        return EffectTable(query, key, value, logits)


class SweptSums:
    """Metric changes and remainder sizes of every path, and what they are to be divided by.

    Attributes:
        changes: Summed metric changes.
        remainders: Summed sizes of what they leave out.
        scale: Clean minus corrupted metric, summed.
        batch_size: Prompts in a batch.
        batches: How many batches are in the sums.

    """

    def __init__(self, n_layers: int, n_heads: int, n_kv_heads: int, batch_size: int) -> None:
        self.changes = PathSums(n_layers, n_heads, n_kv_heads)
        self.remainders = PathSums(n_layers, n_heads, n_kv_heads)
        self.scale, self.batches, self.batch_size = 0.0, 0, batch_size

    def finish_batch(
        self, clean: Float[Tensor, " prompt"], corrupted: Float[Tensor, " prompt"]
    ) -> None:
        """Take in a batch of prompts, of this clean and corrupted metric."""
        self.scale += float((clean.double() - corrupted.double()).sum())
        self.batches += 1
        self.changes.settle()
        self.remainders.settle()

    def normalised(self) -> SweptEffects:
        """Effects. Raises ValueError where clean and corrupted metric are equal."""
        scale = checked_scale(self.scale)
        return SweptEffects(self.changes.table(scale), self.remainders.table(abs(scale)))

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name, for saving."""
        progress = torch.tensor([self.scale, self.batches, self.batch_size], dtype=torch.float64)
        sums = {"changes": self.changes, "remainders": self.remainders}
        named = {f"{kind}.{k}": t for kind, part in sums.items() for k, t in part.sums.items()}
        return {"progress": progress, **named}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> SweptSums:
        """What `tensors` gave. Raises KeyError where something is missing."""
        scale, batches, batch_size = tensors["progress"].tolist()
        n_layers, n_heads = tensors["changes.q"].shape[:2]
        found = cls(n_layers, n_heads, tensors["changes.k"].shape[1], int(batch_size))
        found.scale, found.batches = scale, int(batches)
        for kind, part in (("changes", found.changes), ("remainders", found.remainders)):
            part.sums = {name: tensors[f"{kind}.{name}"] for name in part.sums}
        return found


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
) -> dict[str, Float[Tensor, "layer unit sender_layer sender_head"]]:
    senders = (n_layers, n_heads)
    return {
        "q": _missing(n_layers, n_heads, *senders),
        "k": _missing(n_layers, n_kv_heads, *senders),
        "v": _missing(n_layers, n_kv_heads, *senders),
    }


def _missing(*shape: int) -> Tensor:
    return torch.full(shape, torch.nan, dtype=torch.float64)
