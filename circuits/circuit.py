"""A circuit: a set of heads, the edges between them, and what one does with such sets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from circuits.components import (
    Connection,
    Edge,
    Head,
    Receiver,
    parse_effect,
    parse_node,
)
from circuits.errors import FormatError, InputError, MismatchError, quoted
from circuits.runtime.sizes import check_sizes

Item = TypeVar("Item")
Read = TypeVar("Read")


@dataclass(frozen=True)
class Circuit:
    """Attention heads of a model, and edges between them.

    `a & b`, `a | b` and `a - b` combine circuits of the same model.

    Attributes:
        heads: Query heads.
        edges: Between these heads, and from them to the logits; none for a circuit of heads alone.
        n_layers: Layers of the model.
        n_heads: Query heads in each of them.

    Raises:
        InputError: A head is outside the model, an edge touches a head outside the circuit or does
            not lead to a higher layer, or two edges are the same path.

    >>> name_movers = Circuit.of_heads(["9.6", "9.9", "10.0"], n_layers=12, n_heads=12)
    >>> Head(9, 6) in name_movers, f"{name_movers.sparsity:.0%}"
    (True, '98%')
    >>> [str(head) for head in (name_movers & Circuit.of_heads(["9.9", "5.5"], 12, 12)).heads]
    ['9.9']
    """

    heads: frozenset[Head]
    edges: frozenset[Edge]
    n_layers: int
    n_heads: int

    def __post_init__(self) -> None:
        check_sizes(self.n_layers, self.n_heads)
        if others := [head for head in self.heads if not isinstance(head, Head)]:
            raise InputError(
                f"heads must be heads, such as Head(9, 6), got {quoted(others[0])}; "
                "Circuit.of_heads takes names, too"
            )
        for head in sorted(self.heads):
            if head.layer >= self.n_layers or head.index >= self.n_heads:
                raise InputError(
                    f"head {head} is outside a model of {self.n_layers} layers "
                    f"x {self.n_heads} heads"
                )
        for edge in self.edges:
            if not set(edge.ends) <= self.heads:
                raise InputError(f"edge {edge} leaves the circuit of {len(self.heads)} heads")
            if not all(edge.sender < end for end in edge.ends[1:]) or edge.stays_in_layer:
                raise InputError(f"edge {edge} does not lead to a higher layer")
        if len(self.connections) < len(self.edges):
            twice = Counter(edge.connection for edge in self.edges).most_common(1)[0][0]
            raise InputError(f"the path {twice} has two effects, and can have one")

    @classmethod
    def of_heads(cls, heads: Iterable[Head | str], n_layers: int, n_heads: int) -> Circuit:
        """A circuit without edges, from heads or their names (`"9.6"`).

        Raises:
            InputError: A name is no head's, or a head is outside the model.

        """
        return cls(frozenset(map(Head.parse, heads)), frozenset(), n_layers, n_heads)

    def __len__(self) -> int:
        return len(self.heads)

    def __contains__(self, head: Head) -> bool:
        return head in self.heads

    @property
    def connections(self) -> frozenset[Connection]:
        """The edges without their effects."""
        return frozenset(edge.connection for edge in self.edges)

    @property
    def sparsity(self) -> float:
        """Share of the model's heads that are not in the circuit."""
        return 1 - len(self.heads) / (self.n_layers * self.n_heads)

    def restricted_to(self, heads: Iterable[Head]) -> Circuit:
        """The part of the circuit on some of its heads."""
        kept = self.heads & frozenset(heads)
        inside = (edge for edge in self.edges if kept.issuperset(edge.ends))
        return Circuit(kept, frozenset(inside), self.n_layers, self.n_heads)

    def __and__(self, other: Circuit) -> Circuit:
        """Heads in both, with this circuit's edges between them."""
        self._check_same_model(other)
        return self.restricted_to(other.heads)

    def __or__(self, other: Circuit) -> Circuit:
        """Heads in either; an edge in both keeps this circuit's effect."""
        self._check_same_model(other)
        mine = self.connections
        new = {edge for edge in other.edges if edge.connection not in mine}
        return Circuit(self.heads | other.heads, self.edges | new, self.n_layers, self.n_heads)

    def __sub__(self, other: Circuit) -> Circuit:
        """Heads in this circuit alone."""
        self._check_same_model(other)
        return self.restricted_to(self.heads - other.heads)

    def compare(self, reference: Circuit) -> Overlap[Head]:
        """How this circuit's heads agree with a reference's; `compare_circuits` says more.

        Raises:
            MismatchError: The circuits belong to models of different shapes.

        """
        self._check_same_model(reference)
        return Overlap.of(self.heads, reference.heads)

    def to_json(self) -> str:
        """As JSON: `n_layers`, `n_heads`, `heads` ("23.3", ...), `edges`; see `circuit_schema`."""
        return json.dumps(self.to_dict(), indent=1)

    def to_dict(self) -> dict[str, Any]:
        """As plain lists and numbers."""
        return {
            "n_layers": self.n_layers,
            "n_heads": self.n_heads,
            "heads": [str(head) for head in sorted(self.heads)],
            "edges": [
                {"sender": str(edge.sender), "receiver": str(edge.receiver), "effect": edge.effect}
                for edge in sorted(self.edges)
            ],
        }

    @classmethod
    def from_json(cls, text: str) -> Circuit:
        """Read what `to_json` wrote.

        Raises:
            FormatError: Something is missing or malformed, and where.
            InputError: The heads and edges make no circuit.

        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"a circuit must be JSON, but {error}") from error
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: Any) -> Circuit:
        """Read what `to_dict` gave. Raises as `from_json` does."""
        needed = {"n_layers", "n_heads", "heads"}
        if not isinstance(data, dict) or not needed <= data.keys():
            got = sorted(data) if isinstance(data, dict) else type(data).__name__
            raise FormatError(f"a circuit needs {sorted(needed)} (and edges), got {got}")
        heads = [
            _entry(f"heads[{place}]", Head.parse, head)
            for place, head in enumerate(_list(data["heads"], "heads"))
        ]
        edges = [
            _entry(f"edges[{place}]", _edge, edge)
            for place, edge in enumerate(_list(data.get("edges", []), "edges"))
        ]
        sizes = (_entry(name, _whole, data[name]) for name in ("n_layers", "n_heads"))
        return cls(frozenset(heads), frozenset(edges), *sizes)

    def _check_same_model(self, other: Circuit) -> None:
        mine, theirs = (self.n_layers, self.n_heads), (other.n_layers, other.n_heads)
        if mine != theirs:
            raise MismatchError(
                f"the circuits belong to different models: {mine[0]} layers x {mine[1]} heads "
                f"and {theirs[0]} x {theirs[1]}"
            )


@dataclass(frozen=True)
class Overlap(Generic[Item]):
    """Agreement of a circuit's heads, or of its connections, with a reference's.

    Attributes:
        true_positives: In both.
        false_positives: In the circuit alone.
        false_negatives: In the reference alone.

    >>> found = Circuit.of_heads(["9.6", "9.9"], 12, 12)
    >>> overlap = found.compare(Circuit.of_heads(["9.9", "10.0", "10.7", "11.10"], 12, 12))
    >>> overlap.precision, overlap.recall
    (0.5, 0.25)
    """

    true_positives: frozenset[Item]
    false_positives: frozenset[Item]
    false_negatives: frozenset[Item]

    @classmethod
    def of(cls, found: frozenset[Item], reference: frozenset[Item]) -> Overlap[Item]:
        """What two sets share, and what only one of them has."""
        return cls(found & reference, found - reference, reference - found)

    @property
    def precision(self) -> float:
        """Share of what was found that is in the reference; NaN where nothing was found."""
        return _share(len(self.true_positives), len(self.true_positives | self.false_positives))

    @property
    def recall(self) -> float:
        """Share of the reference that was found; NaN for an empty reference."""
        return _share(len(self.true_positives), len(self.true_positives | self.false_negatives))

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall (Dice coefficient); NaN where both are empty."""
        wrong = len(self.false_positives) + len(self.false_negatives)
        return _share(2 * len(self.true_positives), 2 * len(self.true_positives) + wrong)

    @property
    def iou(self) -> float:
        """Intersection over union (Jaccard index); NaN where both are empty."""
        union = self.true_positives | self.false_positives | self.false_negatives
        return _share(len(self.true_positives), len(union))


def _edge(entry: Any) -> Edge:
    sender, receiver = parse_node(entry["sender"]), Receiver.parse(entry["receiver"])
    return Edge(sender, receiver, parse_effect(entry["effect"]))


def _whole(value: Any) -> int:
    # In Python true is a number, and 12.9 can be made one.
    if isinstance(value, bool) or not isinstance(value, int):
        raise FormatError(f"it must be a whole number, got {quoted(value)}")
    return value


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise FormatError(f"{name} of a circuit must be a list, got {quoted(value)}")
    return value


def _entry(where: str, read: Callable[[Any], Read], value: Any) -> Read:
    """What `read` makes of a value, with its place in the circuit in the error."""
    try:
        return read(value)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        missing = isinstance(error, KeyError)
        reason = f"it has no {error}" if missing else f"{error} (got {value!r})"
        reason = str(error) if isinstance(error, ValueError) else reason
        raise FormatError(f"{where} of a circuit is malformed: {reason}") from error


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
