"""A circuit from a graph of EAP-IG and the MIB circuit track (see `eap_names` for the format).

Of their graph, the heads that are in it and the edges between heads, and from heads to the logits,
are a circuit here. Edges with an MLP or the embedding are not: MLPs belong to the paths here, and
the embedding is always there. So a head that is joined to the others through MLPs alone stays as a
head without edges, unless `through_mlps` asks for an edge wherever the graph has a path.

Effects are minus the scores. Those of EAP-IG are changes of the metric that it was run with, not
shares of its range, and approximate; their order and their signs are what compares with ours.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from circuits.circuit import Circuit
from circuits.components import MLP, Connection, Edge, Head, Node, Receiver
from circuits.errors import FormatError, SettingError, quoted
from circuits.formats.eap_export import OURS, for_all_that_share
from circuits.formats.eap_names import parse_edge, parse_node
from circuits.formats.messages import Imported
from circuits.graph import ModelGraph

Scores = dict[Connection, float]


@dataclass(frozen=True)
class GraphReading:
    """How a graph becomes a circuit.

    Attributes:
        n_kv_heads: Key/value heads of a layer: an edge into a key or value is then one for every
            head of the circuit that shares it, the strongest of them. None: as the file says where
            it was written here, else as many as heads.
        through_mlps: Also an edge where a path leads through MLPs alone, as strong as the weakest
            edge of the strongest such path.
        top: Take this many edges of the highest absolute score instead of those that are marked as
            in the graph; None takes those.

    Raises:
        SettingError: A number is below 1.

    >>> from circuits.formats import GraphConfig, to_eap_graph
    >>> written = to_eap_graph(circuit, graph, config=GraphConfig(with_mlps=False, d_model=32))
    >>> strongest = from_eap_graph(written.text, GraphReading(top=5)).circuit
    >>> [str(edge.connection) for edge in strongest.edges]
    ['1.2 -> logits']
    """

    n_kv_heads: int | None = None
    through_mlps: bool = False
    top: int | None = None

    def __post_init__(self) -> None:
        for name in ("n_kv_heads", "top"):
            given = getattr(self, name)
            if given is not None and given < 1:
                raise SettingError(f"{name} must be at least 1, got {given}")


@dataclass(frozen=True)
class _Graph:
    """A file's content, checked."""

    model: ModelGraph
    heads: frozenset[Head]
    scores: Scores
    members: Scores
    has_edges: bool
    has_scores: bool
    has_neurons: bool


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
    graph = _read(text, reading.n_kv_heads)
    heads, members = (graph.heads, graph.members) if reading.top is None else _top(graph, reading)
    if reading.top is None and not graph.has_edges:
        circuit = Circuit(heads, frozenset(), graph.model.n_layers, graph.model.n_heads)
        return Imported(circuit, ("the circuit was exported without edges",))
    if not heads and not members and any(graph.scores.values()):
        raise FormatError(
            "nothing is marked as in the graph, the file holds scores alone: say how many of the "
            "strongest edges to take (top)"
        )
    paths = _paths(members, heads)
    routes = _routes(members, heads, graph.model) if reading.through_mlps else {}
    shared = for_all_that_share({**routes, **paths}, heads, graph.model)
    edges = frozenset(Edge(path.sender, path.receiver, -s) for path, s in shared.items())
    circuit = Circuit(heads, edges, graph.model.n_layers, graph.model.n_heads)
    return Imported(circuit, _notes(graph, members, paths, routes, len(edges)))


def _read(text: str, n_kv_heads: int | None) -> _Graph:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"a graph must be JSON, but {error}") from error
    data = _object(data, "the file")
    if data.get("n_pos") is not None:
        raise FormatError("n_pos: graphs by position have no counterpart here; give one without")
    cfg, nodes, edges = (_object(data.get(name), name) for name in ("cfg", "nodes", "edges"))
    ours = _object(data.get(OURS, {}), OURS)
    model = _model_graph(cfg, ours if n_kv_heads is None else {"n_kv_heads": n_kv_heads})
    heads = frozenset(node for node in _marked(nodes, model) if isinstance(node, Head))
    scores: dict[Connection, float | None] = {}
    members: list[Connection] = []
    for name, found in edges.items():
        edge = _edge(name, model)
        scores[edge] = _score(found, name)
        if _flag(_object(found, f"edges[{name!r}]"), "in_graph", f"edges[{name!r}]"):
            members.append(edge)
    return _Graph(
        model=model,
        heads=heads,
        scores={edge: score or 0.0 for edge, score in scores.items()},
        members={edge: scores[edge] or 0.0 for edge in members},
        has_edges=ours.get("has_edges") is not False,
        has_scores=any(scores[edge] is not None for edge in members),
        has_neurons=any(isinstance(node, dict) and "neurons" in node for node in nodes.values()),
    )


def _model_graph(cfg: Mapping[str, Any], sharing: Mapping[str, Any]) -> ModelGraph:
    n_layers, n_heads = (_count(cfg, name, "cfg") for name in ("n_layers", "n_heads"))
    sharing = {"n_kv_heads": n_heads, **sharing}
    parallel = bool(cfg.get("parallel_attn_mlp", False))
    n_kv_heads = _count(sharing, "n_kv_heads", OURS)
    return ModelGraph(n_layers, n_heads, n_kv_heads, parallel, "nodes")


def _marked(nodes: Mapping[str, Any], model: ModelGraph) -> list[Any]:
    """The nodes that are in the graph."""
    marked = []
    for name, found in nodes.items():
        where = f"nodes[{name!r}]"
        try:
            node = parse_node(name)
        except ValueError as error:
            raise FormatError(f"{where}: {error}") from error
        _check_inside(node, model, where)
        flags = {"in_graph": found} if isinstance(found, bool) else _object(found, where)
        if _flag(flags, "in_graph", where):
            marked.append(node)
    return marked


def _edge(name: str, model: ModelGraph) -> Connection:
    where = f"edges[{name!r}]"
    try:
        edge = parse_edge(name)
    except ValueError as error:
        raise FormatError(f"{where}: {error}") from error
    _check_inside(edge.sender, model, where)
    _check_inside(edge.receiver, model, where)
    if not model.reads(edge.receiver, edge.sender):
        raise FormatError(f"{where} does not lead upward")
    return edge


def _check_inside(node: Any, model: ModelGraph, where: str) -> None:
    if node not in model:
        raise FormatError(f"{where} is outside {model.shape} (cfg)")


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        found = "nothing" if value is None else f"a {type(value).__name__}"
        raise FormatError(f"{where} must be a JSON object, got {found}")
    return value


def _count(values: Mapping[str, Any], name: str, where: str) -> int:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise FormatError(f"{where}.{name} must be a positive whole number, got {quoted(value)}")
    return value


def _flag(values: Mapping[str, Any], name: str, where: str) -> bool:
    value = values.get(name)
    if not isinstance(value, bool):
        raise FormatError(f"{where}.{name} must be true or false, got {quoted(value)}")
    return value


def _score(found: Any, name: str) -> float | None:
    value = found.get("score") if isinstance(found, dict) else None
    if value is None:
        return None
    try:
        score = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise FormatError(f"edges[{name!r}].score must be a finite number, got {quoted(value)}")
    return score


def _top(graph: _Graph, reading: GraphReading) -> tuple[frozenset[Head], Scores]:
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
    graph: _Graph,
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
