"""The vocabulary of a circuit: heads, receivers of a path, and edges between them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering
from math import isfinite, nan
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer

HeadInput = Literal["q", "k", "v"]
HEAD_INPUTS: tuple[HeadInput, ...] = ("q", "k", "v")
_LOGITS = "logits"


@dataclass(frozen=True, order=True)
class Head:
    """One attention (query) head; prints as `layer.index`, for example `9.6`."""

    layer: int
    index: int

    def __post_init__(self) -> None:
        if self.layer < 0 or self.index < 0:
            raise ValueError(f"layer and index must be >= 0, got {self.layer} and {self.index}")

    def __str__(self) -> str:
        return f"{self.layer}.{self.index}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read `9.6`. Raises ValueError on any other form."""
        match = re.fullmatch(r"(\d+)\.(\d+)", text.strip())
        if match is None:
            raise ValueError(f"a head is written layer.index, for example 9.6; got {text!r}")
        return cls(int(match[1]), int(match[2]))


@total_ordering
@dataclass(frozen=True)
class Receiver:
    """Where a path ends: the q, k or v input of a head, or the logits.

    A key or value input belongs to a key/value head. Under grouped-query attention several
    query heads share it, so receivers of one group have the same effects.
    """

    head: Head | None
    input: HeadInput | Literal["logits"]

    def __post_init__(self) -> None:
        allowed = (_LOGITS,) if self.head is None else HEAD_INPUTS
        if self.input not in allowed:
            raise ValueError(
                f"input of receiver {self.head} must be one of {allowed}, got {self.input!r}"
            )

    @classmethod
    def logits(cls) -> Receiver:
        """The final residual stream, read by the unembedding."""
        return cls(None, _LOGITS)

    @classmethod
    def parse(cls, text: str) -> Receiver:
        """Read `9.6.q` or `logits`. Raises ValueError on any other form."""
        if text.strip() == _LOGITS:
            return cls.logits()
        head, _, head_input = text.strip().rpartition(".")
        if head_input not in HEAD_INPUTS:
            raise ValueError(f"a receiver is written 9.6.q, 9.6.k, 9.6.v or logits; got {text!r}")
        return cls(Head.parse(head), head_input)

    def on_head(self) -> tuple[Head, HeadInput]:
        """The head and its input. Raises ValueError for the logits."""
        if self.head is None or self.input == _LOGITS:
            raise ValueError("the logits receiver is no head's input")
        return self.head, self.input

    def shared(self, n_heads: int, n_kv_heads: int) -> Receiver:
        """The receiver itself; for k and v the first head's of those that share the input."""
        if self.head is None or self.input == "q":
            return self
        group = n_heads // n_kv_heads
        return Receiver(Head(self.head.layer, self.head.index // group * group), self.input)

    def __str__(self) -> str:
        return _LOGITS if self.head is None else f"{self.head}.{self.input}"

    def __lt__(self, other: Receiver) -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple[bool, Head, str]:
        return (self.head is None, self.head or Head(0, 0), self.input)


@dataclass(frozen=True, order=True)
class Connection:
    """A path from a sender to a receiver, whatever its effect; what two circuits can share."""

    sender: Head
    receiver: Receiver

    def __str__(self) -> str:
        return f"{self.sender} -> {self.receiver}"


@dataclass(frozen=True, order=True)
class Edge:
    """A path from a sender to a receiver with its normalised effect (0: none, -1: all the harm)."""

    sender: Head
    receiver: Receiver
    effect: float

    @property
    def connection(self) -> Connection:
        """The path without its effect."""
        return Connection(self.sender, self.receiver)

    def __str__(self) -> str:
        return f"{self.sender} -> {self.receiver} ({self.effect:+.3f})"


def parse_effect(value: Any) -> float:
    """An edge's effect from a file. Raises ValueError where it is no finite number."""
    try:
        effect = float(value)
    except (TypeError, ValueError, OverflowError):
        effect = nan
    if not isfinite(effect):
        raise ValueError(f"its effect must be a number, got {value!r}")
    return effect


def all_heads(n_layers: int, n_heads: int) -> tuple[Head, ...]:
    """Every head of a model, in order."""
    return tuple(Head(layer, index) for layer in range(n_layers) for index in range(n_heads))


def _parse_heads(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return frozenset(Head.parse(item) if isinstance(item, str) else item for item in value)
    return value


HeadSet = Annotated[
    frozenset[Head],
    BeforeValidator(_parse_heads),
    PlainSerializer(lambda heads: [str(head) for head in sorted(heads)]),
]
"""A set of heads; in JSON a sorted list of names."""
