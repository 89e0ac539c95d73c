"""The file of a graph of EAP-IG and the MIB circuit track, checked (see `eap_names`)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from circuits.circuit.reading import parse_mlps
from circuits.components import Connection, Head, Node, Receiver
from circuits.errors import FormatError, quoted
from circuits.formats.eap_export import OURS
from circuits.formats.eap_names import parse_edge, parse_node
from circuits.graph import Mlps, ModelGraph

Scores = dict[Connection, float]


@dataclass(frozen=True)
class Graph:
    """A file's content, checked.

    Attributes:
        model: The graph that the file is of.
        nodes: Those marked as in the graph.
        scores: Of every edge; 0 where it has none.
        members: Of the edges that are marked as in the graph.
        has_edges: Whether a circuit that was written here had edges.
        has_scores: Whether the edges in the graph have scores.
        has_neurons: Whether it says which neurons of a node are in the graph.
        mlps: What MLPs were in a circuit that was written here.

    """

    model: ModelGraph
    nodes: frozenset[Node]
    scores: Scores
    members: Scores
    has_edges: bool
    has_scores: bool
    has_neurons: bool
    mlps: Mlps

    @property
    def heads(self) -> frozenset[Head]:
        """The heads among the nodes."""
        return frozenset(node for node in self.nodes if isinstance(node, Head))


def read_graph(text: str, n_kv_heads: int | None) -> Graph:
    """Read a file; `n_kv_heads` where it does not say that itself. Raises FormatError."""
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
    scores: dict[Connection, float | None] = {}
    members: list[Connection] = []
    for name, found in edges.items():
        edge = _edge(name, model)
        scores[edge] = _score(found, name)
        if _flag(_object(found, f"edges[{name!r}]"), "in_graph", f"edges[{name!r}]"):
            members.append(edge)
    return Graph(
        model=model,
        nodes=frozenset(node for node in _marked(nodes, model) if not isinstance(node, Receiver)),
        scores={edge: score or 0.0 for edge, score in scores.items()},
        members={edge: scores[edge] or 0.0 for edge in members},
        has_edges=ours.get("has_edges") is not False,
        has_scores=any(scores[edge] is not None for edge in members),
        has_neurons=any(isinstance(node, dict) and "neurons" in node for node in nodes.values()),
        mlps=parse_mlps(ours.get("mlps", "path")),
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
