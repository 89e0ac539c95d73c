"""Path effects: prompt by prompt while they are measured, normalised tables afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from einops import reduce
from jaxtyping import Bool, Float, Int
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
        return cls(tables["q"], tables["k"], tables["v"], logits)

    def among(self, heads: Iterable[Head]) -> EffectTable:
        """The paths between some heads, and from them to the logits; NaN for all others."""
        others = outside(heads, *self.logits.shape)
        receivers = {
            name: reduce(others, "layer (unit group) -> layer unit 1 1", "all", unit=t.shape[1])
            for name, t in (("query", self.query), ("key", self.key), ("value", self.value))
        }
        return EffectTable(
            **{
                name: table.masked_fill(others | receivers.get(name, others), torch.nan)
                for name, table in self.tensors().items()
            }
        )

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

    def among(self, heads: Iterable[Head]) -> SweptEffects:
        """The paths between some heads, and from them to the logits; NaN for all others."""
        heads = tuple(heads)
        return SweptEffects(self.effects.among(heads), self.remainders.among(heads))

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
    """One number for each path and prompt, to be summed over prompts.

    What is added stays on its device until `settle`, so that a GPU never waits for the host.

    Attributes:
        parts: By "q", "k", "v" and "logits": `[..., sender_layer, sender_head, prompt]`, NaN where
            there is no path, or where a prompt has not been measured.

    """

    def __init__(self, n_layers: int, n_heads: int, n_kv_heads: int, n_prompts: int) -> None:
        self.parts: dict[str, Tensor] = {
            **_missing_tables(n_layers, n_heads, n_kv_heads, n_prompts),
            "logits": _missing(n_layers, n_heads, n_prompts),
        }
        self._waiting: list[tuple[str, tuple[int, ...], tuple[Head, ...], Tensor]] = []

    def add(
        self,
        layer: int,
        head_input: HeadInput,
        units: list[int],
        senders: tuple[Head, ...],
        values: Float[Tensor, "sender prompt unit"],
    ) -> None:
        """Add the paths into some units (query or key/value heads) of one layer."""
        for position, unit in enumerate(units):
            self._waiting.append((head_input, (layer, unit), senders, values[..., position]))

    def add_logits(self, senders: tuple[Head, ...], values: Float[Tensor, "sender prompt"]) -> None:
        """Add the direct paths to the logits."""
        self._waiting.append(("logits", (), senders, values))

    def settle(self, prompts: Int[Tensor, " prompt"]) -> None:
        """Take in what was added, which was of these prompts."""
        for name, where, senders, values in self._waiting:
            layers = torch.tensor([[sender.layer] for sender in senders], dtype=torch.long)
            heads = torch.tensor([[sender.index] for sender in senders], dtype=torch.long)
            places = (layers.view(-1, 1), heads.view(-1, 1), prompts)
            self.parts[name][where][places] = values.float().cpu()
        self._waiting.clear()

    def of(self, receiver: Receiver) -> Float[Tensor, "layer head prompt"]:
        """What every sender does to one receiver input (for k and v its group's), by prompt."""
        if receiver.head is None:
            return self.parts["logits"]
        head, head_input = receiver.on_head()
        part, n_heads = self.parts[head_input], self.parts["q"].shape[1]
        return part[head.layer, head.index * part.shape[1] // n_heads]

    def table(self, scale: float) -> EffectTable:
        """The sums over all prompts divided by `scale`; NaN before every prompt is measured."""
        query, key, value, logits = (
            (self.parts[name].sum(-1, dtype=torch.float64) / scale).float()
            for name in ("q", "k", "v", "logits")
        )
        return EffectTable(query, key, value, logits)


class SweptSums:
    """Metric changes and remainder sizes of every path, and what they are to be divided by.

    Attributes:
        changes: Metric changes.
        remainders: Sizes of what they leave out.
        scale: Clean minus corrupted metric, summed.
        batch_size: Prompts in a batch.
        batches: How many batches are in the sums.

    """

    def __init__(
        self, n_layers: int, n_heads: int, n_kv_heads: int, n_prompts: int, batch_size: int
    ) -> None:
        self.changes = PathSums(n_layers, n_heads, n_kv_heads, n_prompts)
        self.remainders = PathSums(n_layers, n_heads, n_kv_heads, n_prompts)
        self.scale, self.batches, self.batch_size = 0.0, 0, batch_size

    @property
    def is_whole(self) -> bool:
        """Whether every prompt is in the sums."""
        return self.batches * self.batch_size >= self.changes.parts["logits"].shape[-1]

    def finish_batch(
        self,
        prompts: Int[Tensor, " prompt"],
        clean: Float[Tensor, " prompt"],
        corrupted: Float[Tensor, " prompt"],
    ) -> None:
        """Take in a batch: which prompts they are, and their clean and corrupted metric."""
        self.scale += float((clean.double() - corrupted.double()).sum())
        self.batches += 1
        self.changes.settle(prompts)
        self.remainders.settle(prompts)

    def normalised(self) -> SweptEffects:
        """Effects. Raises ValueError where clean and corrupted metric are equal."""
        scale = checked_scale(self.scale)
        return SweptEffects(self.changes.table(scale), self.remainders.table(abs(scale)))

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name, for saving."""
        progress = torch.tensor([self.scale, self.batches, self.batch_size], dtype=torch.float64)
        sums = {"changes": self.changes, "remainders": self.remainders}
        named = {f"{kind}.{k}": t for kind, part in sums.items() for k, t in part.parts.items()}
        return {"progress": progress, **named}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> SweptSums:
        """What `tensors` gave. Raises KeyError where something is missing."""
        scale, batches, batch_size = tensors["progress"].tolist()
        n_heads, n_layers, _, n_prompts = tensors["changes.q"].shape[1:]
        n_kv_heads = tensors["changes.k"].shape[1]
        found = cls(n_layers, n_heads, n_kv_heads, n_prompts, int(batch_size))
        found.scale, found.batches = scale, int(batches)
        for kind, part in (("changes", found.changes), ("remainders", found.remainders)):
            part.parts = {name: tensors[f"{kind}.{name}"] for name in part.parts}
        return found


def outside(heads: Iterable[Head], n_layers: int, n_heads: int) -> Bool[Tensor, "layer head"]:
    """Mask of all other heads."""
    others = torch.ones(n_layers, n_heads, dtype=torch.bool)
    for head in heads:
        others[head.layer, head.index] = False
    return others


def checked_scale(scale: float) -> float:
    """The summed difference of clean and corrupted metric, refused where it is zero."""
    if not abs(scale) > 1e-12:
        raise ValueError(
            f"clean minus corrupted metric is {scale:.3g}: effects are measured against that "
            "difference, so the task needs prompts that the corruption changes"
        )
    return scale


def _missing_tables(
    n_layers: int, n_heads: int, n_kv_heads: int, *prompts: int
) -> dict[str, Float[Tensor, "layer unit sender_layer sender_head *prompt"]]:
    senders = (n_layers, n_heads, *prompts)
    return {
        "q": _missing(n_layers, n_heads, *senders),
        "k": _missing(n_layers, n_kv_heads, *senders),
        "v": _missing(n_layers, n_kv_heads, *senders),
    }


def _missing(*shape: int) -> Tensor:
    return torch.full(shape, torch.nan)
