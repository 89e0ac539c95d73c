"""A circuit: a set of heads, the edges between them, and what one does with such sets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args

from circuits.circuit.overlap import Overlap
from circuits.circuit.reading import parts_of, parts_of_json
from circuits.components import MLP, Connection, Edge, Head, Node
from circuits.errors import InputError, MismatchError, quoted
from circuits.graph import Mlps, ModelGraph, has_span
from circuits.runtime.sizes import check_sizes
from circuits.tasks import Spans


@dataclass(frozen=True)
class Circuit:
    """Nodes of a model, and edges between them.

    By default nodes are attention heads, and MLPs belong to the paths between them. With
    `mlps="nodes"` MLPs and the embedding are nodes, too, those at the ends of edges: circuits on
    the graph of EAP-IG (`ModelGraph`). `a & b`, `a | b` and `a - b` combine circuits of the same
    model and graph. With `spans` an edge is one at the token positions of a span alone.

    Attributes:
        heads: Query heads.
        edges: Between the nodes, and from them to the logits; none for a circuit of heads alone.
        n_layers: Layers of the model.
        n_heads: Query heads in each of them.
        mlps: Whether MLPs belong to the "path"s between heads, or are "nodes".
        spans: The spans that its edges are told apart by; None: edges act at all positions.

    Raises:
        InputError: A node is outside the model, an edge touches a head outside the circuit or does
            not lead upward, or to no span of the circuit, two edges are the same path, or `mlps` is
            unknown.

    >>> name_movers = Circuit.of_heads(["9.6", "9.9", "10.0"], n_layers=12, n_heads=12)
    >>> Head(9, 6) in name_movers, f"{name_movers.sparsity:.0%}"
    (True, '98%')
    >>> [str(head) for head in (name_movers & Circuit.of_heads(["9.9", "5.5"], 12, 12)).heads]
    ['9.9']
    >>> through_mlp = {Edge(Head(9, 6), Receiver.mlp(9), -0.1)}
    >>> circuit = Circuit(frozenset({Head(9, 6)}), frozenset(through_mlp), 12, 12, mlps="nodes")
    >>> [str(node) for node in sorted(circuit.nodes)]
    ['9.6', 'm9']
    """

    heads: frozenset[Head]
    edges: frozenset[Edge]
    n_layers: int
    n_heads: int
    mlps: Mlps = "path"
    spans: Spans | None = None

    def __post_init__(self) -> None:
        check_sizes(self.n_layers, self.n_heads)
        if self.mlps not in get_args(Mlps):
            raise InputError(f"mlps must be one of {get_args(Mlps)}, got {self.mlps!r}")
        if others := [head for head in self.heads if not isinstance(head, Head)]:
            raise InputError(
                f"heads must be heads, such as Head(9, 6), got {quoted(others[0])}; "
                "Circuit.of_heads takes names, too"
            )
        for head in sorted(self.heads):
            if head.layer >= self.n_layers or head.index >= self.n_heads:
                raise InputError(f"head {head} is outside {self._shape}")
        for edge in self.edges:
            self._check_edge(edge)
        if len(self.connections) < len(self.edges):
            twice = Counter(edge.connection for edge in self.edges).most_common(1)[0][0]
            raise InputError(f"the path {twice} has two effects, and can have one")

    def _check_edge(self, edge: Edge) -> None:
        others = [end for end in edge.ends if not isinstance(end, Head)]
        if others and self.mlps == "path":
            raise InputError(
                f"edge {edge} leaves the circuit of {len(self.heads)} heads: MLPs and the "
                'embedding are nodes only of a circuit with mlps="nodes"'
            )
        if not all(end in self.heads for end in edge.ends if isinstance(end, Head)):
            raise InputError(f"edge {edge} leaves the circuit of {len(self.heads)} heads")
        if not has_span(edge.receiver, self.spans):
            names = "no spans" if self.spans is None else f"the spans {', '.join(self.spans.names)}"
            raise InputError(f"edge {edge} is at a span that the circuit, of {names}, has not")
        if any(isinstance(end, MLP) and end.layer >= self.n_layers for end in others):
            raise InputError(f"edge {edge} is outside {self._shape}")
        if not all(edge.sender < end for end in edge.ends[1:]) or edge.stays_in_layer:
            raise InputError(f"edge {edge} does not lead to a higher layer")

    @classmethod
    def of_heads(cls, heads: Iterable[Head | str], n_layers: int, n_heads: int) -> Circuit:
        """A circuit without edges, from heads or their names (`"9.6"`).

        Raises:
            InputError: A name is no head's, or a head is outside the model.

        """
        return cls(frozenset(map(Head.parse, heads)), frozenset(), n_layers, n_heads)

    @classmethod
    def empty(cls, graph: ModelGraph) -> Circuit:
        """The circuit of no heads and edges of a graph."""
        of = graph.n_layers, graph.n_heads, graph.mlps, graph.spans
        return cls(frozenset(), frozenset(), *of)

    def __len__(self) -> int:
        return len(self.heads)

    def __contains__(self, node: Node) -> bool:
        return node in self.nodes

    @cached_property
    def nodes(self) -> frozenset[Node]:
        """Its heads, and the MLPs and the embedding at the ends of its edges."""
        return self.heads.union(*(edge.ends for edge in self.edges))

    @property
    def connections(self) -> frozenset[Connection]:
        """The edges without their effects."""
        return frozenset(edge.connection for edge in self.edges)

    @property
    def sparsity(self) -> float:
        """Share of the model's heads that are not in the circuit."""
        return 1 - len(self.heads) / (self.n_layers * self.n_heads)

    def restricted_to(self, nodes: Iterable[Node]) -> Circuit:
        """The part of the circuit on some of its nodes."""
        kept = self.nodes & frozenset(nodes)
        inside = (edge for edge in self.edges if kept.issuperset(edge.ends))
        return self._of(self.heads & kept, frozenset(inside))

    def without_spans(self) -> Circuit:
        """The same edges at all positions, for what cannot tell them apart; effects add up.

        It keeps more than the circuit does: an edge at one span becomes one at every span.

        >>> circuit.without_spans() == circuit  # it has none
        True
        """
        effects: dict[Connection, float] = {}
        for edge in self.edges:
            path = Connection(edge.sender, edge.receiver.at(None))
            effects[path] = effects.get(path, 0.0) + edge.effect
        edges = (Edge(path.sender, path.receiver, effect) for path, effect in effects.items())
        return replace(self, edges=frozenset(edges), spans=None)

    def __and__(self, other: Circuit) -> Circuit:
        """Nodes in both, with this circuit's edges between them."""
        self._check_same_model(other)
        return self.restricted_to(other.nodes)

    def __or__(self, other: Circuit) -> Circuit:
        """Nodes in either; an edge in both keeps this circuit's effect."""
        self._check_same_model(other)
        mine = self.connections
        new = {edge for edge in other.edges if edge.connection not in mine}
        return self._of(self.heads | other.heads, self.edges | new)

    def __sub__(self, other: Circuit) -> Circuit:
        """Nodes in this circuit alone."""
        self._check_same_model(other)
        return self.restricted_to(self.nodes - other.nodes)

    def compare(self, reference: Circuit) -> Overlap[Head]:
        """How this circuit's heads agree with a reference's; `compare_circuits` says more.

        Raises:
            MismatchError: The circuits belong to models of different shapes, or to graphs of which
                one has MLPs as nodes.

        """
        self._check_same_model(reference)
        return Overlap.of(self.heads, reference.heads)

    def to_json(self) -> str:
        """As JSON: `n_layers`, `n_heads`, `heads` ("23.3", ...), `edges`; see `circuit_schema`."""
        return json.dumps(self.to_dict(), indent=1)

    def to_dict(self) -> dict[str, Any]:
        """As plain lists and numbers; `mlps` where these are nodes, `spans` where there are."""
        return {
            "n_layers": self.n_layers,
            "n_heads": self.n_heads,
            **({} if self.mlps == "path" else {"mlps": self.mlps}),
            **({} if self.spans is None else {"spans": self.spans.to_list()}),
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
        return cls(*parts_of_json(text))

    @classmethod
    def from_dict(cls, data: Any) -> Circuit:
        """Read what `to_dict` gave. Raises as `from_json` does."""
        return cls(*parts_of(data))

    def _of(self, heads: frozenset[Head], edges: frozenset[Edge]) -> Circuit:
        """Another circuit of the same model and graph."""
        return Circuit(heads, edges, self.n_layers, self.n_heads, self.mlps, self.spans)

    @property
    def _shape(self) -> str:
        return f"a model of {self.n_layers} layers x {self.n_heads} heads"

    def _check_same_model(self, other: Circuit) -> None:
        mine, theirs = (self.n_layers, self.n_heads), (other.n_layers, other.n_heads)
        if mine != theirs:
            raise MismatchError(
                f"the circuits belong to different models: {mine[0]} layers x {mine[1]} heads "
                f"and {theirs[0]} x {theirs[1]}"
            )
        if self.mlps != other.mlps:
            raise MismatchError(
                f'the circuits belong to different graphs, with mlps="{self.mlps}" and with '
                f'mlps="{other.mlps}": their heads alone can be compared, as Circuit.of_heads of '
                "each"
            )
        check_same_spans(self.spans, other.spans)


def check_same_spans(mine: Spans | None, theirs: Spans | None) -> None:
    """Raise MismatchError where edges are told apart by spans of other names."""
    one, other = (() if spans is None else spans.names for spans in (mine, theirs))
    if set(one) != set(other):
        raise MismatchError(
            f"edges are told apart by spans on both sides, or on none: here by "
            f"{', '.join(one) or 'none'}, there by {', '.join(other) or 'none'}"
        )
