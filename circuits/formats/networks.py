"""A circuit as a networkx graph, and as the node-link JSON that networkx reads and writes.

Nodes are named as they print (`9.6`, `m9`, `embed`), and `logits`; the graph has `n_layers` and
`n_heads`, and `mlps` where MLPs are nodes; a head `layer` and `index`, an MLP `layer`, an edge
`input` (q, k, v, mlp or logits, which is its key, too) and `effect`.
networkx is imported on first use.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from circuits.circuit import Circuit
from circuits.circuit.reading import parse_mlps
from circuits.components import MLP, Edge, Head, Node, Receiver, parse_node
from circuits.errors import FormatError, quoted
from circuits.fields import parse_effect
from circuits.formats.eap_import import GraphReading
from circuits.formats.messages import Exported, Imported
from circuits.formats.registry import Known
from circuits.runtime.told import told_as

if TYPE_CHECKING:
    from networkx import Graph, MultiDiGraph

LOGITS = str(Receiver.logits())
SIZES = ("n_layers", "n_heads", "mlps")
"""What a graph says of its circuit's model."""


class _Networkx:
    """What networkx's `node_link_data` gives."""

    name = "networkx"
    description = "node-link JSON of networkx"
    suffixes = ()

    def write(self, circuit: Circuit, known: Known) -> Exported:
        """Write a circuit."""
        return to_node_link(circuit)

    def read(self, text: str, reading: GraphReading | None) -> Imported:
        """Read a circuit."""
        return from_node_link(text)


NETWORKX = _Networkx()


def to_networkx(circuit: Circuit) -> MultiDiGraph:
    """Make a directed graph of a circuit; two heads can be joined by a q, a k and a v edge.

    >>> network = to_networkx(circuit)
    >>> network.number_of_edges() == len(circuit.edges), "logits" in network
    (True, True)
    """
    from networkx import MultiDiGraph

    graph = MultiDiGraph(**sizes_of(circuit))
    for node in sorted(circuit.nodes):
        graph.add_node(str(node), **_place(node))
    for edge in sorted(circuit.edges):
        child, name = child_and_input(edge.receiver)
        graph.add_edge(str(edge.sender), child, key=name, input=name, effect=edge.effect)
    return graph


def from_networkx(graph: Graph) -> Circuit:
    """Make a circuit of a graph as `to_networkx` gives.

    Raises:
        FormatError: The graph is not directed, or a node or edge is not one of a circuit, or lacks
            what it must have.
        InputError: The nodes and edges make no circuit.

    >>> import networkx
    >>> network = networkx.DiGraph(n_layers=12, n_heads=12)
    >>> network.add_edge("9.6", "logits", effect=-0.5)
    >>> [str(edge) for edge in from_networkx(network).edges]
    ['9.6 -> logits (-0.500)']
    """
    if not graph.is_directed():
        raise FormatError("edges of a circuit are directed, and those of this graph are not")
    sizes = {name: graph.graph.get(name) for name in SIZES}
    nodes = {str(name): f"node {str(name)!r}" for name in graph.nodes}
    edges = [
        (str(sender), str(child), {**data}, f"edge {sender} -> {child}")
        for sender, child, data in graph.edges(data=True)
    ]
    return circuit_of_parts(sizes, nodes, edges)


def to_node_link(circuit: Circuit) -> Exported:
    """Write a circuit as networkx's node-link JSON."""
    from networkx import node_link_data

    return Exported(json.dumps(node_link_data(to_networkx(circuit), edges="edges"), indent=1))


def from_node_link(text: str) -> Imported:
    """Read networkx's node-link JSON, whose edges are named `edges`, or `links` as in networkx 2.

    Raises:
        FormatError: It is none, or no circuit.

    """
    from networkx import node_link_graph

    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"a node-link graph must be JSON, but {error}") from error
    attributes = data.get("graph", {}) if isinstance(data, dict) else data
    if not isinstance(attributes, dict):
        raise FormatError(f"a node-link graph is a JSON object, and has one, got {quoted(data)}")
    what = "this is no node-link graph of networkx"
    with told_as(FormatError, what, "give what its node_link_data wrote"):
        graph = node_link_graph(data, edges="edges" if "edges" in data else "links")
    return Imported(from_networkx(graph))


def child_and_input(receiver: Receiver) -> tuple[str, str]:
    """The node that a receiver belongs to, and which of its inputs it is."""
    return (LOGITS if receiver.node is None else str(receiver.node)), receiver.input


def sizes_of(circuit: Circuit) -> dict[str, Any]:
    """The attributes `SIZES` of a graph; `mlps` only where they are nodes."""
    sizes: dict[str, Any] = {"n_layers": circuit.n_layers, "n_heads": circuit.n_heads}
    return sizes if circuit.mlps == "path" else {**sizes, "mlps": circuit.mlps}


def circuit_of_parts(
    sizes: dict[str, Any],
    nodes: dict[str, str],
    edges: list[tuple[str, str, dict[str, Any], str]],
) -> Circuit:
    """A circuit of what a graph file says.

    Args:
        sizes: `n_layers`, `n_heads`, and `mlps` or None.
        nodes: By name: where in the file the node is, for errors.
        edges: Sender, child, `input` and `effect`, and where in the file.

    Raises:
        FormatError: Something is missing or wrong, and where.

    """
    mlps = parse_mlps(sizes.get("mlps") or "path")
    counts = [_count(name, sizes[name]) for name in ("n_layers", "n_heads")]
    parse = Head.parse if mlps == "path" else parse_node
    heads = {_at(where, parse, name) for name, where in nodes.items() if name != LOGITS}
    found = frozenset(
        Edge(
            _at(where, parse, sender),
            _at(where, _receiver, child, data),
            _at(where, _effect, data),
        )
        for sender, child, data, where in edges
    )
    heads = frozenset(node for node in heads if isinstance(node, Head))
    return Circuit(heads, found, *counts, mlps=mlps)


def _place(node: Node) -> dict[str, int]:
    if isinstance(node, Head):
        return {"layer": node.layer, "index": node.index}
    return {"layer": node.layer} if isinstance(node, MLP) else {}


def _receiver(child: str, data: dict[str, Any]) -> Receiver:
    if child == LOGITS:
        return Receiver.logits()
    if child.startswith("m"):
        return Receiver.parse(child)
    if "input" not in data:
        raise FormatError("it has no input: q, k or v")
    return Receiver.parse(f"{child}.{data['input']}")


def _effect(data: dict[str, Any]) -> float:
    if "effect" not in data:
        raise FormatError("it has no effect")
    return parse_effect(data["effect"])


def _count(name: str, value: Any) -> int:
    if value is None:
        raise FormatError(
            f"the graph has no {name}: it must say n_layers and n_heads of the circuit's model"
        )
    try:
        return int(str(value))
    except (TypeError, ValueError):
        raise FormatError(
            f"the graph's {name} must be a whole number, got {quoted(value)}"
        ) from None


def _at(where: str, read: Any, *arguments: Any) -> Any:
    """What `read` gives, with the place in the file in its error."""
    try:
        return read(*arguments)
    except ValueError as error:
        raise FormatError(f"{where}: {error}") from error
