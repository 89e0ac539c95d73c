"""The vocabulary of a circuit: the nodes of a model, what they read, and edges between them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import total_ordering
from typing import Any, Literal

from circuits.errors import InputError, quoted
from circuits.tasks.spans import check_label

HeadInput = Literal["q", "k", "v"]
ReceiverInput = Literal["q", "k", "v", "mlp", "logits"]
HEAD_INPUTS: tuple[HeadInput, ...] = ("q", "k", "v")
_LOGITS, _MLP, _EMBEDDING, _AT = "logits", "mlp", "embed", "@"
Place = tuple[int, int, int]


@total_ordering
class _Ordered:
    """Nodes in the order in which they write into the residual stream."""

    @property
    def _place(self) -> Place:
        raise NotImplementedError

    def __lt__(self, other: object) -> bool:
        return self._place < other._place if isinstance(other, _Ordered) else NotImplemented


@dataclass(frozen=True)
class Head(_Ordered):
    """One attention (query) head; prints as `layer.index`, both counted from 0.

    Raises:
        InputError: A number is negative.

    >>> print(Head(9, 6), Head.parse("9.6") == Head(9, 6))
    9.6 True
    """

    layer: int
    index: int

    def __post_init__(self) -> None:
        if self.layer < 0 or self.index < 0:
            raise InputError(f"layer and index must be >= 0, got {self.layer} and {self.index}")

    def __str__(self) -> str:
        return f"{self.layer}.{self.index}"

    @property
    def _place(self) -> Place:
        return self.layer, 0, self.index

    @classmethod
    def parse(cls, text: Any) -> Head:
        """Read `9.6`; a head is returned as it is. Raises InputError on any other form."""
        match = re.fullmatch(r"(\d{1,9})\.(\d{1,9})", _written(text))
        if match is None:
            raise InputError(f"a head is written layer.index, for example 9.6; got {quoted(text)}")
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True)
class MLP(_Ordered):
    """One layer's MLP; it writes behind the layer's heads.

    >>> print(MLP(9), Head(9, 11) < MLP(9) < Head(10, 0))
    m9 True
    """

    layer: int

    def __post_init__(self) -> None:
        if self.layer < 0:
            raise InputError(f"layer must be >= 0, got {self.layer}")

    def __str__(self) -> str:
        return f"m{self.layer}"

    @property
    def _place(self) -> Place:
        return self.layer, 1, 0


@dataclass(frozen=True)
class Embedding(_Ordered):
    """The token embedding, which writes first.

    >>> print(Embedding(), Embedding() < Head(0, 0))
    embed True
    """

    def __str__(self) -> str:
        return _EMBEDDING

    @property
    def layer(self) -> int:
        """One below the first."""
        return -1

    @property
    def _place(self) -> Place:
        return self.layer, 0, 0


Node = Head | MLP | Embedding
"""What writes into the residual stream."""


def parse_node(text: Any) -> Node:
    """Read `9.6`, `m9` or `embed`. Raises InputError on any other form.

    >>> parse_node("m9")
    MLP(layer=9)
    """
    written = _written(text)
    if written == _EMBEDDING:
        return Embedding()
    if match := re.fullmatch(r"m(\d{1,9})", written):
        return MLP(int(match[1]))
    return Head.parse(text)


@total_ordering
@dataclass(frozen=True)
class Receiver:
    """Where an edge ends: the q, k or v input of a head, an MLP, or the logits.

    A key or value input belongs to a key/value head. Under grouped-query attention several query
    heads share it (`ModelGraph.unit`).

    Attributes:
        node: The head or MLP that reads; None for the logits.
        input: "q", "k" or "v" of a head, "mlp", or "logits".
        span: At which token positions, by the name of their span; None: at all.

    Raises:
        InputError: The node has no such input, or nothing can be the name of such a span.

    >>> print(Receiver(Head(9, 6), "q"), Receiver.parse("m9"), Receiver.logits())
    9.6.q m9 logits
    >>> Receiver.parse("9.6.q@name 1").span
    'name 1'
    """

    node: Head | MLP | None
    input: ReceiverInput
    span: str | None = None

    def __post_init__(self) -> None:
        if self.span is not None:
            check_label(self.span)
        allowed: tuple[str, ...] = HEAD_INPUTS if isinstance(self.node, Head) else (_MLP,)
        allowed = (_LOGITS,) if self.node is None else allowed
        if self.input not in allowed:
            raise InputError(
                f"input of receiver {self.node} must be one of {allowed}, got {self.input!r}"
            )

    @classmethod
    def logits(cls) -> Receiver:
        """The final residual stream, read by the unembedding."""
        return cls(None, _LOGITS)

    @classmethod
    def mlp(cls, layer: int) -> Receiver:
        """What the MLP of a layer reads."""
        return cls(MLP(layer), _MLP)

    @classmethod
    def parse(cls, text: Any) -> Receiver:
        """Read `9.6.q`, `m9`, `logits` or `9.6.q@span`. Raises InputError on any other form."""
        written, at, span = _written(text).partition(_AT)
        if at:
            return cls.parse(written).at(span)
        if written == _LOGITS:
            return cls.logits()
        if re.fullmatch(r"m\d{1,9}", written):
            return cls(parse_node(written), _MLP)  # type: ignore[arg-type]
        head, _, head_input = written.rpartition(".")
        if head_input not in HEAD_INPUTS:
            forms = "9.6.q, 9.6.k, 9.6.v, m9 or logits"
            raise InputError(f"a receiver is written {forms}; got {quoted(text)}")
        return cls(Head.parse(head), head_input)

    @property
    def head(self) -> Head | None:
        """The head whose input it is; None for an MLP and for the logits."""
        return self.node if isinstance(self.node, Head) else None

    def at(self, span: str | None) -> Receiver:
        """The same at the token positions of a span; at all with None.

        >>> print(Receiver.parse("m9").at("end"))
        m9@end
        """
        return replace(self, span=span)

    @property
    def is_logits(self) -> bool:
        """Whether it is the final residual stream."""
        return self.node is None

    def on_head(self) -> tuple[Head, HeadInput]:
        """The head and its input. Raises InputError where it is no head's."""
        if self.head is None or self.input not in HEAD_INPUTS:
            raise InputError(f"the receiver {self} is no head's input")
        return self.head, self.input

    def __str__(self) -> str:
        name = f"{self.node}.{self.input}" if self.head else str(self.node or _LOGITS)
        return name if self.span is None else f"{name}{_AT}{self.span}"

    def __lt__(self, other: Receiver) -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple[bool, Place, str, str]:
        place = self.node._place if self.node else (0, 0, 0)
        return self.node is None, place, self.input, self.span or ""


@dataclass(frozen=True, order=True)
class Connection:
    """An edge whatever its effect: what two circuits can share.

    >>> print(Connection(Head(3, 1), Receiver.parse("9.6.q")))
    3.1 -> 9.6.q
    """

    sender: Node
    receiver: Receiver

    def __str__(self) -> str:
        return f"{self.sender} -> {self.receiver}"

    @property
    def ends(self) -> tuple[Node] | tuple[Node, Node]:
        """The nodes at its ends; the logits are none."""
        node = self.receiver.node
        return (self.sender,) if node is None else (self.sender, node)

    @classmethod
    def parse(cls, text: Any) -> Connection:
        """Read `3.1 -> 9.6.q`. Raises InputError on any other form."""
        sender, arrow, receiver = _written(text).partition("->")
        if not arrow:
            raise InputError(f"an edge is written sender -> receiver, got {quoted(text)}")
        return cls(parse_node(sender), Receiver.parse(receiver))


@dataclass(frozen=True, order=True)
class Edge:
    """From a sender to a receiver, with its normalised effect.

    An effect of 0 means that corrupting the edge changes nothing, -1 that it does as much harm as
    corrupting the whole prompt; above 0, that it raises the metric.

    >>> print(Edge(Head(3, 1), Receiver.parse("9.6.q"), -0.25))
    3.1 -> 9.6.q (-0.250)
    """

    sender: Node
    receiver: Receiver
    effect: float

    @property
    def connection(self) -> Connection:
        """The edge without its effect."""
        return Connection(self.sender, self.receiver)

    @property
    def ends(self) -> tuple[Node] | tuple[Node, Node]:
        """The nodes at its ends; the logits are none."""
        return self.connection.ends

    @property
    def stays_in_layer(self) -> bool:
        """Whether it joins two heads of one layer, which read side by side."""
        both_heads = all(isinstance(end, Head) for end in self.ends)
        return both_heads and len({end.layer for end in self.ends}) < len(self.ends)

    def __str__(self) -> str:
        return f"{self.connection} ({self.effect:+.3f})"


def _written(value: Any) -> str:
    """A text without spaces around it, or a node as a text; nothing of what is neither."""
    return str(value).strip() if isinstance(value, str | _Ordered) else ""


def all_heads(n_layers: int, n_heads: int) -> tuple[Head, ...]:
    """Every head of a model, in order.

    >>> len(all_heads(12, 12))
    144
    """
    return tuple(Head(layer, index) for layer in range(n_layers) for index in range(n_heads))
