"""Exact effects that are known, by receiver and sender. A threshold never changes one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import Head, Receiver
from circuits.patching.effects import EffectTable

Learn = Callable[[Receiver, Sequence[Head], Sequence[float]], None]


class KnownEffects:
    """What has been measured so far; heads that share a key or value input share its effects."""

    def __init__(
        self,
        n_layers: int,
        n_heads: int,
        n_kv_heads: int,
        learn: Learn = lambda receiver, senders, effects: None,
    ) -> None:
        """Begin knowing nothing. `learn` is called with whatever becomes known."""
        self._sizes = (n_layers, n_heads, n_kv_heads)
        self._learn = learn
        self._known: dict[Receiver, Float[Tensor, "layer head"]] = {}

    def of(self, receiver: Receiver, senders: Iterable[Head]) -> Float[Tensor, "layer head"]:
        """Effects of these senders on one receiver; NaN where unknown, and for all others."""
        found, known = self._unknown(), self._row(receiver)
        for sender in senders:
            found[sender.layer, sender.index] = known[sender.layer, sender.index]
        return found

    def everything(self, receiver: Receiver) -> Float[Tensor, "layer head"]:
        """All known effects on one receiver; NaN where unknown."""
        return self._row(receiver).clone()

    def missing(self, receiver: Receiver, senders: Iterable[Head]) -> tuple[Head, ...]:
        """The senders whose effect on the receiver is unknown."""
        known = self._row(receiver)
        return tuple(s for s in senders if bool(known[s.layer, s.index].isnan()))

    def add(self, receiver: Receiver, senders: Sequence[Head], effects: Sequence[float]) -> None:
        """Know the effects of some senders on one receiver from now on."""
        unit = self._unit(receiver)
        self.restore(unit, senders, effects)
        self._learn(unit, senders, effects)

    def restore(
        self, receiver: Receiver, senders: Iterable[Head], effects: Iterable[float]
    ) -> None:
        """Know what was learned before."""
        row = self._known.setdefault(self._unit(receiver), self._unknown())
        for sender, effect in zip(senders, effects, strict=True):
            row[sender.layer, sender.index] = effect

    def table(self) -> EffectTable:
        """Everything known; NaN for all else."""
        return EffectTable.of_receivers(self._known, *self._sizes)

    def __len__(self) -> int:
        return sum(int((~row.isnan()).sum()) for row in self._known.values())

    def _unit(self, receiver: Receiver) -> Receiver:
        return receiver.shared(self._sizes[1], self._sizes[2])

    def _row(self, receiver: Receiver) -> Float[Tensor, "layer head"]:
        row = self._known.get(self._unit(receiver))
        return self._unknown() if row is None else row

    def _unknown(self) -> Float[Tensor, "layer head"]:
        return torch.full(self._sizes[:2], torch.nan)
