"""A circuit from a graph of EAP-IG and the MIB circuit track (see `eap_names` for the format).

Of their graph, the heads that are in it and the edges between heads, and from heads to the logits,
are a circuit here. Edges with an MLP or the embedding are not: MLPs belong to the paths here, and
the embedding is always there. So a head that is joined to the others through MLPs alone stays as a
head without edges, unless `through_mlps` asks for an edge wherever the graph has a path. With
`mlps="nodes"` a graph is read as it is (`eap_nodes`), and nothing is lost.

Effects are minus the scores. Those of EAP-IG are changes of the metric that it was run with, not
shares of its range, and approximate; their order and their signs are what compares with ours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from circuits.circuit import Circuit
from circuits.components import MLP, Connection, Edge, Head, Node, Receiver
from circuits.errors import FormatError, SettingError
from circuits.formats import eap_nodes
from circuits.formats.eap_export import for_all_that_share
from circuits.formats.eap_file import Graph, Scores, read_graph
from circuits.formats.messages import Imported
from circuits.graph import Mlps, ModelGraph


@dataclass(frozen=True)
class GraphReading:
    """How a graph becomes a circuit.

    Attributes:
        n_kv_heads: Key/value heads of a layer: an edge into a key or value is then one for every
            head of the circuit that shares it, the strongest of them. None: as the file says where
            it was written here, else as many as heads.
        through_mlps: Also an edge where a path leads through MLPs alone, as strong as the weakest
            edge of the strongest such path.
        mlps: "nodes" keeps MLPs and the embedding as nodes, "path" makes paths between heads of
            what it can. None: as the file says where it was written here, else "path".
        top: Take this many edges of the highest absolute score instead of those that are marked as
            in the graph; None takes those.

    Raises:
        SettingError: A number is below 1, `mlps` is unknown, or other settings need paths.

    >>> from circuits.formats import GraphConfig, to_eap_graph
    >>> written = to_eap_graph(circuit, graph, config=GraphConfig(with_mlps=False, d_model=32))
    >>> strongest = from_eap_graph(written.text, GraphReading(top=5)).circuit
    >>> [str(edge.connection) for edge in strongest.edges]
    ['1.2 -> logits']
    """

    n_kv_heads: int | None = None
    through_mlps: bool = False
    top: int | None = None
    mlps: Mlps | None = None

    def __post_init__(self) -> None:
        if self.mlps not in (None, *get_args(Mlps)):
            raise SettingError(f"mlps must be one of {get_args(Mlps)}, got {self.mlps!r}")
        if self.mlps == "nodes" and (self.through_mlps or self.n_kv_heads is not None):
            raise SettingError(
                "through_mlps and n_kv_heads make paths between heads, and mlps='nodes' keeps what "
                "the graph has: leave these out"
            )
        for name in ("n_kv_heads", "top"):
            given = getattr(self, name)
            if given is not None and given < 1:
                raise SettingError(f"{name} must be at least 1, got {given}")


def from_eap_graph(text: str, reading: GraphReading | None = None) -> Imported:
    """Read what EAP-IG's `Graph.to_json` wrote, in its newer and its older form, or `to_eap_graph`.

    Raises:
        FormatError: The file is malformed, and where; or it marks nothing as in the graph.

    >>> from circuits.formats import GraphConfig, to_eap_graph
    >>> text = to_eap_graph(circuit, graph, config=GraphConfig(d_model=32)).text
    >>> from_eap_graph(text).circuit.heads == circuit.heads
    True
    """
    reading = reading or GraphReading()
    graph = read_graph(text, reading.n_kv_heads)
    if (reading.mlps or graph.mlps) == "nodes":
        return _as_it_is(graph, reading.top)
    heads, members = (graph.heads, graph.members) if reading.top is None else _top(graph, reading)
    if reading.top is None and not graph.has_edges:
        circuit = Circuit(heads, frozenset(), graph.model.n_layers, graph.model.n_heads)
        return Imported(circuit, ("the circuit was exported without edges",))
    _check_marked(graph, heads or members)
    paths = _paths(members, heads)
    routes = _routes(members, heads, graph.model) if reading.through_mlps else {}
    shared = for_all_that_share({**routes, **paths}, heads, graph.model)
    edges = frozenset(Edge(path.sender, path.receiver, -s) for path, s in shared.items())
    circuit = Circuit(heads, edges, graph.model.n_layers, graph.model.n_heads)
    return Imported(circuit, _notes(graph, members, paths, routes, len(edges)))


def _as_it_is(graph: Graph, top: int | None) -> Imported:
    """With MLPs and the embedding as nodes."""
    effects = eap_nodes.effects_of(graph.model, graph.scores)
    if top is not None:
        circuit = eap_nodes.circuit_of_top(graph.model, graph.scores, top)
        return Imported(circuit, ("effects are minus the scores of the file",), effects)
    _check_marked(graph, graph.members or graph.heads)
    circuit, notes = eap_nodes.circuit_of(graph.model, graph.nodes, graph.members)
    return Imported(circuit, notes, effects)


def _check_marked(graph: Graph, marked: Collection[Any]) -> None:
    if not marked and any(graph.scores.values()):
        raise FormatError(
            "nothing is marked as in the graph, the file holds scores alone: say how many of the "
            "strongest edges to take (top)"
        )


def _top(graph: Graph, reading: GraphReading) -> tuple[frozenset[Head], Scores]:
    """The strongest edges, and the heads that send along one of them."""
    order = sorted(graph.scores, key=lambda edge: -abs(graph.scores[edge]))
    members = {edge: graph.scores[edge] for edge in order[: reading.top] if graph.scores[edge]}
    heads = frozenset(edge.sender for edge in members if isinstance(edge.sender, Head))
    return heads, members


def _paths(members: Scores, heads: frozenset[Head]) -> dict[Connection, float]:
    """Direct edges between the circuit's heads, and to the logits."""
    return {edge: score for edge, score in members.items() if heads.issuperset(edge.ends)}


def _routes(members: Scores, heads: frozenset[Head], model: ModelGraph) -> dict[Connection, float]:
    """Paths from head to head through MLPs alone, each as strong as its weakest edge."""
    out_of: dict[Node, list[tuple[Receiver, float]]] = {}
    for edge, score in members.items():
        out_of.setdefault(edge.sender, []).append((edge.receiver, score))
    found: dict[Connection, float] = {}
    for head in heads:
        reached = {r.node: s for r, s in out_of.get(head, ()) if isinstance(r.node, MLP)}
        for mlp in map(MLP, range(head.layer, model.n_layers)):
            if mlp not in reached:
                continue
            for receiver, score in out_of.get(mlp, ()):
                weakest, node = min(reached[mlp], score, key=abs), receiver.node
                if isinstance(node, MLP):
                    reached[node] = max(reached.get(node, weakest), weakest, key=abs)
                elif node is None or node in heads:
                    path = Connection(head, receiver)
                    found[path] = max(found.get(path, weakest), weakest, key=abs)
    return found


def _notes(
    graph: Graph,
    members: Scores,
    paths: Mapping[Connection, float],
    routes: Mapping[Connection, float],
    n_edges: int,
) -> tuple[str, ...]:
    between_heads = (all(isinstance(end, Head) for end in edge.ends) for edge in members)
    outside = sum(between_heads) - len(paths)
    with_others = len(members) - len(paths) - outside
    has_scores = graph.has_scores or members is not graph.members
    added = len(routes.keys() - paths.keys())
    through = f"; {added:,} paths through MLPs alone became edges" if added else ""
    shared = n_edges - len(routes.keys() | paths.keys())
    candidates = {
        "effects are minus the scores of the file": has_scores and bool(paths),
        "the file has no scores: every effect is 0": not has_scores and bool(paths),
        f"{with_others:,} edges with MLPs or the embedding were left out: both belong to the paths "
        f"here{through}": with_others > 0,
        f"{outside:,} edges of heads that are not in the graph were left out": outside > 0,
        "which neurons of a node are in the graph was left out: a head here is whole": (
            graph.has_neurons
        ),
        f"{shared:,} edges were added into keys and values that heads share": shared > 0,
    }
    return tuple(note for note, holds in candidates.items() if holds)
