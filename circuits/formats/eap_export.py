"""A circuit as a graph of EAP-IG and the MIB circuit track (see `eap_names` for the format).

Their graph has nodes that circuits here have not. Here, as in Wang et al. 2022 (arXiv 2211.00593,
appendix B), MLPs belong to the paths: an edge 3.1 -> 9.6.q stands for the direct path and for all
paths through the MLPs between. And the embedding is that of the clean prompt for every receiver. So
the graph of a circuit holds, beside its own edges,

- the embedding into every MLP, into the q, k and v of every head that sends, and into the logits;
- every MLP into every MLP above it, and into the same inputs and the logits;
- every sender into the MLPs between it and its highest receiver.

That is the smallest graph of theirs that holds all paths of the circuit. It holds more than those:
an MLP there passes everything on, also between two heads that no edge of the circuit joins.
Without MLPs, on request, the graph lacks the paths through them.

A circuit in which MLPs are nodes is written as it is (`eap_nodes`).

Scores there are how much worse corrupting an edge makes the metric, so they are minus our effects.
An edge with the embedding or an MLP scores as the strongest path that needs it: the edges of at
least some score are always the graph of the paths of at least that effect.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from circuits.circuit import Circuit
from circuits.components import HEAD_INPUTS, MLP, Connection, Embedding, Head, Node, Receiver
from circuits.errors import InputError, MismatchError
from circuits.formats import eap_nodes
from circuits.formats.eap_names import edge_name, node_name
from circuits.formats.messages import Exported
from circuits.graph import ModelGraph
from circuits.patching import EdgeValues

OURS = "accelerated_path_patching"
"""A key of the file that their readers pass over: what ours needs to read the circuit back."""
Effects = Mapping[Connection, float]
_EMBEDDING = Embedding()


@dataclass(frozen=True)
class GraphConfig:
    """How a circuit becomes a graph.

    Attributes:
        with_mlps: Whether the MLPs that the circuit's paths go through are in the graph.
        plain_nodes: Write nodes as bare true and false, for EAP-IG before 2025.
        d_model: Width of the model's residual stream, which must be in the file but for plain
            nodes; 0 where it is not known.

    >>> graph_file = to_eap_graph(circuit, graph, config=GraphConfig(plain_nodes=True)).text
    >>> json.loads(graph_file)["nodes"]["m0"]
    True
    """

    with_mlps: bool = True
    plain_nodes: bool = False
    d_model: int = 0


def to_eap_graph(
    circuit: Circuit,
    graph: ModelGraph,
    effects: EdgeValues | None = None,
    config: GraphConfig | None = None,
) -> Exported:
    """Write a circuit as a graph that EAP-IG's `Graph.from_json` reads.

    Args:
        circuit: Heads and edges. One without edges, from pruning, gets every path among its heads.
        graph: The model's.
        effects: Of a discovery: all paths that were measured get their scores, though only the
            circuit's are in the graph. Without, every edge outside the graph scores 0.
        config: How MLPs and nodes are written.

    Raises:
        MismatchError: The circuit is one of a model of another shape.
        InputError: The width of the residual stream is needed and not known, an effect is not
            finite, or MLPs that are nodes were to be left out.

    >>> exported = to_eap_graph(circuit, graph, config=GraphConfig(d_model=32))
    >>> json.loads(exported.text)["edges"]["a1.h2->logits"]
    {'score': 0.3..., 'in_graph': True}
    """
    config, graph = config or GraphConfig(), replace(graph, mlps="nodes")
    _check(circuit, graph, config)
    if circuit.mlps == "nodes":
        scores, members = eap_nodes.scores_of(circuit, graph, effects)
        notes: tuple[str, ...] = ("scores are minus effects",)
    else:
        inside = _effects_of_circuit(circuit, graph)
        measured = {} if effects is None else _effects_of_table(effects, graph)
        scores = _graph_scores({**measured, **inside}, graph, config.with_mlps)
        members = _graph_scores(inside, graph, config.with_mlps).keys()
        notes = _notes(circuit, graph, len(inside), len(members), effects is not None, config)
    ours = {"n_kv_heads": graph.n_kv_heads, "has_edges": bool(circuit.edges)}
    data = {
        "cfg": _model(graph, config),
        "nodes": _nodes(circuit, graph, members, config.plain_nodes),
        "edges": {
            edge_name(edge): {"score": scores.get(edge, 0.0), "in_graph": edge in members}
            for edge in graph.edges
        },
        OURS: ours if circuit.mlps == "path" else {**ours, "mlps": circuit.mlps},
    }
    return Exported(json.dumps(data, allow_nan=False), notes)


def _effects_of_circuit(circuit: Circuit, graph: ModelGraph) -> dict[Connection, float]:
    """A circuit's edges; every path among its heads where it has none."""
    if not circuit.edges:
        return dict.fromkeys(_all_paths(circuit.heads), 0.0)
    effects = {edge.connection: edge.effect for edge in sorted(circuit.edges)}
    return for_all_that_share(effects, circuit.heads, graph)


def for_all_that_share(
    values: Mapping[Connection, float], heads: frozenset[Head], graph: ModelGraph
) -> dict[Connection, float]:
    """Paths into a shared key or value, as paths into that of each of the heads that share it.

    Where paths disagree on a shared key or value, the strongest stands.
    """
    found: dict[Connection, float] = {}
    for path, value in values.items():
        for receiver in graph.sharing(path.receiver):
            if receiver.head is None or receiver.head in heads:
                own = Connection(path.sender, receiver)
                found[own] = max(found.get(own, value), value, key=abs)
    return found


def _graph_scores(effects: Effects, graph: ModelGraph, with_mlps: bool) -> dict[Connection, float]:
    """The score of every edge that some path needs; of the paths' own, minus the effect."""
    needs = _needs(effects)
    found = {Connection(_EMBEDDING, receiver): need for receiver, need in needs.items()}
    if with_mlps:
        found |= _between_mlps(needs, graph) | _into_mlps(effects, graph)
    return found | {path: -effect for path, effect in effects.items()}


def _needs(effects: Effects) -> dict[Receiver, float]:
    """How strong the strongest path is that needs what a receiver reads.

    Those into it; for an input of a head also those that the head sends.
    """
    needs: dict[Receiver, float] = {}
    for path, effect in effects.items():
        for receiver in (path.receiver, *_inputs(path.sender)):
            needs[receiver] = max(needs.get(receiver, 0.0), abs(effect))
    return needs


def _inputs(node: Node) -> Iterable[Receiver]:
    """All that a head reads, at the bottom the embedding alone."""
    return (Receiver(node, name) for name in HEAD_INPUTS) if isinstance(node, Head) else ()


def _between_mlps(needs: Mapping[Receiver, float], graph: ModelGraph) -> dict[Connection, float]:
    """What brings the embedding to every receiver through MLPs."""
    found: dict[Connection, float] = {}
    for mlp in map(MLP, range(graph.n_layers)):
        above = {r: need for r, need in needs.items() if graph.reads(r, mlp)}
        if above:
            senders = (_EMBEDDING, *map(MLP, range(mlp.layer)))
            into = Receiver.mlp(mlp.layer)
            found |= dict.fromkeys((Connection(s, into) for s in senders), max(above.values()))
            found |= {Connection(mlp, receiver): need for receiver, need in above.items()}
    return found


def _into_mlps(effects: Effects, graph: ModelGraph) -> dict[Connection, float]:
    """Every sender into the MLPs between it and its receivers."""
    strongest: dict[tuple[Node, int], float] = {}
    for path, effect in effects.items():
        node = path.receiver.node
        key = (path.sender, graph.n_layers if node is None else node.layer)
        strongest[key] = max(strongest.get(key, 0.0), abs(effect))
    found: dict[Connection, float] = {}
    for (sender, top), strength in strongest.items():
        for layer in range(sender.layer + graph.parallel_mlp, top):
            edge = Connection(sender, Receiver.mlp(layer))
            found[edge] = max(found.get(edge, 0.0), strength)
    return found


def _all_paths(heads: Iterable[Head]) -> Iterable[Connection]:
    """Every path among some heads, and from them to the logits."""
    heads = sorted(heads)
    inputs = [Receiver(head, name) for head in heads for name in HEAD_INPUTS]
    for sender in heads:
        above = (r for r in inputs if r.node is not None and r.node.layer > sender.layer)
        yield from (Connection(sender, receiver) for receiver in (*above, Receiver.logits()))


def _effects_of_table(effects: EdgeValues, graph: ModelGraph) -> dict[Connection, float]:
    found: dict[Connection, float] = {}
    heads = graph.heads
    for receiver in (Receiver.logits(), *(r for head in heads for r in graph.inputs(head))):
        row = effects.effects(receiver)
        for layer, index in (~row.isnan()).nonzero().tolist():
            found[Connection(Head(layer, index), receiver)] = float(row[layer, index])
    return found


def _model(graph: ModelGraph, config: GraphConfig) -> dict[str, Any]:
    sizes = {"n_layers": graph.n_layers, "n_heads": graph.n_heads}
    return {**sizes, "parallel_attn_mlp": graph.parallel_mlp, "d_model": config.d_model}


def _nodes(
    circuit: Circuit, graph: ModelGraph, members: Iterable[Connection], plain: bool
) -> dict[str, Any]:
    sending = {edge.sender for edge in members} | circuit.nodes
    flags = {node_name(node): node in sending for node in graph.senders} | {"logits": True}
    return {name: flag if plain else {"in_graph": flag} for name, flag in flags.items()}


def _check(circuit: Circuit, graph: ModelGraph, config: GraphConfig) -> None:
    sizes, own = (circuit.n_layers, circuit.n_heads), (graph.n_layers, graph.n_heads)
    if sizes != own:
        raise MismatchError(
            f"the circuit is one of a model of {sizes[0]} layers x {sizes[1]} heads, the model "
            f"given has {own[0]} x {own[1]}"
        )
    if circuit.mlps == "nodes" and not config.with_mlps:
        raise InputError("MLPs are nodes of this circuit, and cannot be left out (with_mlps)")
    if not config.plain_nodes and config.d_model < 1:
        raise InputError(
            "the width of the model's residual stream (d_model) must be in the file, and a circuit "
            "alone does not hold it: give it, or write plain nodes, for EAP-IG before 2025, which "
            "wants none"
        )
    for edge in sorted(circuit.edges):
        if not math.isfinite(edge.effect):
            raise InputError(f"edge {edge} has no finite effect, and so no score")


def _notes(
    circuit: Circuit,
    graph: ModelGraph,
    n_inside: int,
    n_members: int,
    has_table: bool,
    config: GraphConfig,
) -> tuple[str, ...]:
    support = n_members - n_inside
    of_mlps = {
        True: f"MLPs and the embedding belong to the paths here and are nodes there: {support:,} "
        "edges with them are in the graph, so that it holds all paths of the circuit, and some "
        "through MLPs that the circuit has not",
        False: f"no MLP is in the graph: it lacks the paths through them; {support:,} edges from "
        "the embedding are in it",
    }
    notes = [of_mlps[config.with_mlps]]
    if not circuit.edges:
        notes.append(
            f"the circuit has no edges: all {n_inside:,} paths among its heads are in the graph, "
            "without scores"
        )
    else:
        others = "all other measured paths have theirs" if has_table else "all others score 0"
        notes.append(
            "scores are minus effects; edges with MLPs or the embedding score as the strongest "
            f"path that needs them; {others}"
        )
        if more := n_inside - len(circuit.edges):
            notes.append(
                f"keys and values belong to query heads there: {more:,} edges were added into "
                "those that share one"
            )
    if graph.parallel_mlp:
        notes.append("MLPs are written as beside attention (parallel_attn_mlp)")
    return tuple(notes)
