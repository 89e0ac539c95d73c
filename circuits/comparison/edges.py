"""All paths that a model has, and how strong each is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Bool, Float

from circuits.circuit import every_edge
from circuits.components import HEAD_INPUTS, Connection, Head, Node, Receiver
from circuits.graph import ModelGraph
from circuits.patching import EdgeValues


def count_connections(nodes: Iterable[Node], graph: ModelGraph | None = None) -> int:
    """How many paths there are between nodes, and from them to the logits.

    Each head sends to the logits and to q, k and v of every head in a higher layer. Heads that
    share their keys and values count as receivers of their own, as in a circuit; with a graph, what
    they share counts once. Of MLPs and the embedding the graph has to say what reads them.

    >>> count_connections(graph.heads), count_connections(graph.heads, graph)
    (156, 108)
    """
    nodes = frozenset(nodes)
    if graph is not None and graph.has_mlps:
        return int(EdgeValues(graph, every_edge(graph).float()).among(nodes).values.nansum())
    layers: defaultdict[int, set[Head]] = defaultdict(set)
    for head in nodes:
        if isinstance(head, Head):
            layers[head.layer].add(head)
    below, paths = 0, 0
    for _, members in sorted(layers.items()):
        receivers = {Receiver(head, name) for head in members for name in HEAD_INPUTS}
        distinct = receivers if graph is None else set(map(graph.unit, receivers))
        paths += len(distinct) * below + len(members)
        below += len(members)
    return paths


def distinct_connections(
    mine: Iterable[Connection], theirs: Iterable[Connection], graph: ModelGraph
) -> tuple[frozenset[Connection], frozenset[Connection]]:
    """Two sets of paths, in which those that come as copies of each other are one.

    To corrupt a path into a shared key or value is to do so for all heads that read it. Each is
    named by the first of its copies in the first set, or in the second where it is only there.

    >>> paths = [Connection(Head(0, 0), Receiver.parse(name)) for name in ("1.0.k", "1.1.k")]
    >>> [len(both) for both in distinct_connections(paths, paths[1:], graph)]
    [1, 1]
    """
    names: dict[tuple[Node, Receiver], Connection] = {}

    def named(paths: Iterable[Connection]) -> frozenset[Connection]:
        return frozenset(
            names.setdefault((path.sender, graph.unit(path.receiver)), path)
            for path in sorted(paths)
        )

    return named(mine), named(theirs)


def head_strengths(effects: EdgeValues) -> Float[torch.Tensor, "layer head"]:
    """The largest |effect| that each head has as a sender; 0 where none was measured.

    >>> strengths = head_strengths(effects)
    >>> strengths.shape, str(graph.heads[strengths.argmax()])
    (torch.Size([3, 4]), '1.2')
    """
    return effects.by_head(effects.values.abs().nan_to_num(0.0).amax(0))


def effect_strengths(
    effects: EdgeValues, reference: frozenset[Connection]
) -> tuple[Float[np.ndarray, " path"], Bool[np.ndarray, " path"]]:
    """|Effect| of every path of a model, and whether it is in the reference.

    Heads that share a key or value count as receivers of their own, as in a circuit. An edge that
    was not measured, because a search did not get there or pruning left it out, has strength 0.

    Raises:
        MismatchError: The model lacks a head of the reference.

    >>> strengths, is_in = effect_strengths(effects, circuit.connections)
    >>> len(strengths), int(is_in.sum()) == len(circuit.edges)
    (156, True)
    """
    graph = effects.graph
    senders: defaultdict[Receiver, list[Node]] = defaultdict(list)
    for connection in reference:
        senders[connection.receiver].append(connection.sender)
    strengths, positive = [], []
    nodes = graph.senders if graph.has_mlps else graph.heads
    logits = graph.at_spans(Receiver.logits())
    for receiver in (*logits, *(r for node in nodes for r in graph.inputs(node))):
        row = effects.into(receiver).abs().nan_to_num(0.0)
        known = torch.zeros(len(row), dtype=torch.bool)
        known[[graph.column(sender) for sender in senders[receiver]]] = True
        strengths.append(row.cpu().double().numpy())
        positive.append(known.numpy())
    return np.concatenate(strengths), np.concatenate(positive)
