"""What is known of a published circuit."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, ConfigDict, PlainSerializer, TypeAdapter, ValidationError

from circuits.circuit import Circuit
from circuits.components import Connection, Edge, Head, Node, Receiver, parse_node
from circuits.errors import FormatError, InputError
from circuits.fields import HeadSet, first_problem
from circuits.graph import Mlps

_NAME = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")


def _parsed(parse: Callable[[str], Node | Receiver]) -> BeforeValidator:
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


@dataclass(frozen=True)
class ReferenceEdge:
    """An edge of a published circuit; `effect` (normalised, as in `Edge`) is None if unknown.

    >>> print(ReferenceEdge(Head(8, 6), Receiver.parse("9.9.q")).connection)
    8.6 -> 9.9.q
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    sender: Annotated[Node, _parsed(parse_node), PlainSerializer(str)]
    receiver: Annotated[Receiver, _parsed(Receiver.parse), PlainSerializer(str)]
    effect: float | None = None

    @property
    def connection(self) -> Connection:
        """The edge without its effect."""
        return Connection(self.sender, self.receiver)


@dataclass(frozen=True)
class Reference:
    """A circuit to measure others against.

    Attributes:
        name: What `load_reference` knows it by.
        task: The task's name here; the authors' prompts may differ from ours.
        model: The model's name, as `load_model` takes it where it can be loaded.
        n_layers: Layers of that model.
        n_heads: Attention heads in each of its layers.
        roles: The circuit's heads by the role that the publication gives them.
        citation: Who published it, and where.
        read_from: The exact places that heads and edges were read from.
        verified: Whether they were seen in a primary source: the paper, or code of its authors.
            Our own circuits are their own primary source.
        edges: Its paths between heads, and to the logits; empty where none are given.
        mlps: Layers whose MLP is part of the published circuit.
        graph: Where MLPs belong to the paths between heads, "path"; where the published edges are
            those of MLPs and the embedding, too, "nodes" (as `Circuit.mlps`).
        note: What a reader should know before trusting it.
        made_with: Settings, model identity, versions and performance of a circuit of ours; None
            for those of others.

    Raises:
        InputError: A head is outside the model or has two roles, an edge leaves the circuit or is
            given twice, or the name is not made of lower-case words, digits and hyphens.

    >>> reference = load_reference("ioi-gpt2")
    >>> sorted(map(str, reference.roles["name mover"]))
    ['10.0', '9.6', '9.9']
    >>> len(reference.heads), reference.verified
    (26, True)
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    task: str
    model: str
    n_layers: int
    n_heads: int
    roles: dict[str, HeadSet]
    citation: str
    read_from: tuple[str, ...]
    verified: bool
    edges: tuple[ReferenceEdge, ...] = ()
    mlps: tuple[int, ...] = ()
    graph: Mlps = "path"
    note: str = ""
    made_with: dict[str, Any] | None = field(default=None)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"a reference's name is made of lower-case words, digits and hyphens, "
                f"for example ioi-gpt2; got {self.name!r}"
            )
        counts = Counter(head for heads in self.roles.values() for head in heads)
        twice = sorted(head for head, count in counts.items() if count > 1)
        if twice:
            raise InputError(f"heads with two roles: {', '.join(map(str, twice))}")
        if len(self.connections) < len(self.edges):
            raise InputError(f"{len(self.edges)} edges are only {len(self.connections)} paths")
        if any(not 0 <= layer < self.n_layers for layer in self.mlps):
            raise InputError(f"MLPs {self.mlps} are not all within {self.n_layers} layers")
        # A circuit checks that heads are inside the model and edges inside the circuit.
        Circuit(
            self.heads,
            frozenset(Edge(edge.sender, edge.receiver, 0.0) for edge in self.edges),
            self.n_layers,
            self.n_heads,
            self.graph,
        )

    @property
    def heads(self) -> frozenset[Head]:
        """All heads, whatever their role."""
        return frozenset().union(*self.roles.values())

    @property
    def nodes(self) -> frozenset[Node]:
        """Its heads, and the MLPs and the embedding at the ends of its edges."""
        return self.heads.union(*(edge.ends for edge in self.connections))

    @property
    def connections(self) -> frozenset[Connection]:
        """The edges without their effects."""
        return frozenset(edge.connection for edge in self.edges)

    @cached_property
    def circuit(self) -> Circuit:
        """Its heads, and those of its edges whose effect is known."""
        edges = (
            Edge(edge.sender, edge.receiver, edge.effect)
            for edge in self.edges
            if edge.effect is not None
        )
        return Circuit(self.heads, frozenset(edges), self.n_layers, self.n_heads, self.graph)

    @property
    def is_ours(self) -> bool:
        """Whether it was made here rather than published elsewhere."""
        return self.made_with is not None

    @classmethod
    def from_json(cls, text: str) -> Reference:
        """Read what `to_json` wrote. Raises FormatError naming what is missing or wrong."""
        try:
            return _ADAPTER.validate_json(text, strict=True)
        except ValidationError as error:
            raise FormatError(f"a reference is malformed: {first_problem(error)}") from error

    def to_json(self) -> str:
        """As JSON, ending in a line break."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """As plain lists and numbers; `graph` is there only where MLPs are nodes."""
        data = _ADAPTER.dump_python(self, mode="json")
        return {key: value for key, value in data.items() if (key, value) != ("graph", "path")}


_ADAPTER = TypeAdapter(Reference)
