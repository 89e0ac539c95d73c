"""A circuit as Graphviz DOT text, drawn from the lower layers up, and back.

The reader takes the DOT language (graphviz.org/doc/info/lang.html) without HTML labels and ports:
nodes are named as they print and `logits`; the graph has `n_layers` and `n_heads`, and `mlps` where
MLPs are nodes, an edge `input` and `effect`, and all other attributes are for drawing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from circuits.circuit import Circuit
from circuits.components import Edge
from circuits.errors import FormatError, quoted
from circuits.formats.eap_import import GraphReading
from circuits.formats.messages import Exported, Imported
from circuits.formats.networks import (
    SIZES,
    child_and_input,
    circuit_of_parts,
    sizes_of,
)
from circuits.formats.registry import Known
from circuits.graph import depth

_FOR_TASK, _AGAINST_TASK = "#0072b2", "#d55e00"
_WIDEST, _NARROWEST = 5.0, 0.5
_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/|\#[^\n]*)
    |(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<arrow>->|--)
    |(?P<mark>[{}\[\];,=])
    |(?P<id>[^\W\d]\w*|-?(?:\.\d+|\d+(?:\.\d*)?))""",
    re.VERBOSE | re.DOTALL,
)


class _Dot:
    """Graphviz's language."""

    name = "dot"
    description = "Graphviz"
    suffixes = (".dot", ".gv")

    def write(self, circuit: Circuit, known: Known) -> Exported:
        """Write a circuit."""
        return to_dot(circuit)

    def read(self, text: str, reading: GraphReading | None) -> Imported:
        """Read a circuit."""
        return from_dot(text)


DOT = _Dot()


def to_dot(circuit: Circuit) -> Exported:
    """Write a circuit as DOT: width by effect, blue where corrupting hurts the task, else red.

    >>> print(to_dot(other).text)
    digraph circuit {
      graph [n_layers=3, n_heads=4, rankdir=BT];
      node [shape=box, style=rounded, fontname="Helvetica"];
      { rank=same; "0.0"; }
      { rank=same; "2.1"; }
    }
    """
    widest = max((abs(edge.effect) for edge in circuit.edges), default=0.0)
    sizes = "".join(f"{name}={value}, " for name, value in sizes_of(circuit).items())
    lines = [
        "digraph circuit {",
        f"  graph [{sizes}rankdir=BT];",
        '  node [shape=box, style=rounded, fontname="Helvetica"];',
        *(
            f"  {{ rank=same; {' '.join(f'{_quoted(str(node))};' for node in nodes)} }}"
            for _, nodes in groupby(sorted(circuit.nodes), key=depth)
        ),
        *(f"  {_edge(edge, widest)}" for edge in sorted(circuit.edges)),
        "}",
    ]
    return Exported("\n".join(lines) + "\n")


def from_dot(text: str) -> Imported:
    """Read a circuit from DOT.

    Raises:
        FormatError: The text is no DOT that is understood, or no circuit, and on which line.
        InputError: The nodes and edges make no circuit.

    >>> text = 'digraph { n_layers=12; n_heads=12; "9.6" -> logits [input=logits, effect=-0.5] }'
    >>> [str(edge) for edge in from_dot(text).circuit.edges]
    ['9.6 -> logits (-0.500)']
    """
    graph = _Reader(text).graph()
    sizes = {name: graph.attributes.get(name) for name in SIZES}
    return Imported(circuit_of_parts(sizes, graph.nodes, graph.edges))


def _edge(edge: Edge, widest: float) -> str:
    child, name = child_and_input(edge.receiver)
    share = abs(edge.effect) / widest if widest else 0.0
    attributes = {
        "input": name,
        "effect": repr(edge.effect),
        "label": name if edge.receiver.head else "",
        "color": _FOR_TASK if edge.effect < 0 else _AGAINST_TASK,
        "penwidth": f"{_NARROWEST + (_WIDEST - _NARROWEST) * share:.2f}",
    }
    shown = ", ".join(f"{key}={_quoted(value)}" for key, value in attributes.items())
    return f"{_quoted(str(edge.sender))} -> {_quoted(child)} [{shown}];"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@dataclass
class _DotGraph:
    """What a text says: nodes and edges, each with its line for errors."""

    attributes: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    edges: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int

    @property
    def is_name(self) -> bool:
        return self.kind in ("id", "text")


class _Reader:
    """Reads DOT statement by statement; subgraphs only group, and defaults only draw."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._end = _Token("end", "the end of the text", text.count("\n") + 1)
        self._place = 0

    def graph(self) -> _DotGraph:
        """Read all of it."""
        graph = _DotGraph()
        if self._next.text.lower() == "strict":
            self._take()
        if self._take().text.lower() != "digraph":
            raise FormatError("a circuit in DOT begins with: digraph NAME {")
        if self._next.is_name:
            self._take()
        self._expect("{")
        depth = 1
        while depth:
            depth += self._statement(graph, depth)
        if self._next is not self._end:
            raise self._error("nothing must follow the graph", self._next)
        return graph

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place] if self._place < len(self._tokens) else self._end

    def _take(self) -> _Token:
        token = self._next
        self._place += 1
        return token

    def _statement(self, graph: _DotGraph, depth: int) -> int:
        """Read one statement; returns by how much braces go deeper with it."""
        token = self._take()
        if token.text in (";", ",") and token.kind == "mark":
            return 0
        if token.kind == "mark" and token.text in ("{", "}"):
            return 1 if token.text == "{" else -1
        if not token.is_name:
            raise self._error("a node, an edge or } must stand here", token)
        keyword = token.text.lower() if token.kind == "id" else ""
        if keyword == "subgraph":
            if self._next.is_name:
                self._take()
        elif keyword in ("graph", "node", "edge"):
            attributes = self._attributes()
            if keyword == "graph" and depth == 1:
                graph.attributes.update(attributes)
        elif self._next.text == "=":
            self._take()
            value = self._name()
            if depth == 1:
                graph.attributes[token.text] = value
        else:
            self._node_or_edges(graph, token)
        return 0

    def _node_or_edges(self, graph: _DotGraph, first: _Token) -> None:
        names = [first.text]
        while self._next.kind == "arrow":
            if self._take().text == "--":
                raise self._error("edges of a circuit are directed: ->", first)
            names.append(self._name())
        attributes = self._attributes()
        for name in names:
            graph.nodes.setdefault(name, f"line {first.line}, node {name!r}")
        for sender, child in pairwise(names):
            where = f"line {first.line}, edge {sender} -> {child}"
            graph.edges.append((sender, child, dict(attributes), where))

    def _attributes(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        while self._next.kind == "mark" and self._next.text == "[":
            self._take()
            while self._next.text != "]":
                name = self._name()
                self._expect("=")
                found[name] = self._name()
                if self._next.kind == "mark" and self._next.text in (",", ";"):
                    self._take()
            self._take()
        return found

    def _name(self) -> str:
        token = self._take()
        if not token.is_name:
            raise self._error("a name must stand here", token)
        return token.text

    def _expect(self, mark: str) -> None:
        token = self._take()
        if token.kind != "mark" or token.text != mark:
            raise self._error(f"{mark} must stand here", token)

    def _error(self, what: str, token: _Token) -> FormatError:
        return FormatError(f"line {token.line}: {what}, got {quoted(token.text)}")


def _tokens(text: str) -> Iterator[_Token]:
    place, line = 0, 1
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise FormatError(f"line {line}: {text[place : place + 20]!r} is no DOT")
        kind, found = match.lastgroup or "", match.group()
        if kind == "text":
            yield _Token(kind, re.sub(r"\\(.)", r"\1", found[1:-1], flags=re.DOTALL), line)
        elif kind != "space":
            yield _Token(kind, found, line)
        line += found.count("\n")
        place = match.end()
