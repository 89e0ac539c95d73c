"""What circuits of many seeds have in common: how often each part is there, and what most have."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean

from circuits.circuit import Circuit, circuit_of_edges, edge_mask, without_dead_ends
from circuits.components import Connection, Edge, Head, Node, Receiver
from circuits.errors import InputError
from circuits.graph import ModelGraph
from circuits.statistics import InclusionRule, Inclusions
from circuits.statistics.inclusion import least_count

Unit = tuple[Node, Receiver]
"""An edge, the same for all of its copies into a key or value that heads share."""


def node_inclusions(
    circuits: Sequence[Circuit], graph: ModelGraph, rule: InclusionRule | None = None
) -> Inclusions[Node]:
    """How many of some circuits each node is in, out of all nodes of the graph.

    >>> graph = ModelGraph(n_layers=3, n_heads=4, n_kv_heads=2)
    >>> inclusions = node_inclusions([circuit, circuit], graph)
    >>> [row.count for row in inclusions.rows] == [2] * len(circuit)
    True
    """
    return Inclusions.of([circuit.nodes for circuit in circuits], len(graph.senders), rule)


def edge_inclusions(
    circuits: Sequence[Circuit], graph: ModelGraph, rule: InclusionRule | None = None
) -> Inclusions[Connection]:
    """How many of some circuits each edge is in, out of all edges of the graph.

    Edges into a key or value that heads share are one, named by the first copy that a circuit has.

    >>> graph = ModelGraph(n_layers=3, n_heads=4, n_kv_heads=2)
    >>> inclusions = edge_inclusions([circuit, circuit], graph)
    >>> len(inclusions.rows) == graph.n_distinct(circuit.connections)
    True
    """
    names: dict[Unit, Connection] = {}
    for edge in sorted(frozenset().union(*(circuit.connections for circuit in circuits))):
        names.setdefault(_unit(edge, graph), edge)
    every = [
        frozenset(names[_unit(edge, graph)] for edge in circuit.connections) for circuit in circuits
    ]
    return Inclusions.of(every, graph.n_edges, rule)


def consensus_circuit(
    circuits: Sequence[Circuit], graph: ModelGraph, least: float | int = 0.5
) -> Circuit:
    """The heads and edges that at least a share of some circuits has.

    An edge has the mean of its effects in the circuits that have it. One into a key or value that
    heads share counts as there where any copy of it is. Where MLPs are nodes, edges that lead
    nowhere without those that are left out go, too.

    Args:
        circuits: Of one model and graph.
        graph: The model's.
        least: The share, above 0 and at most 1.

    Raises:
        InputError: There is no circuit, or the share is out of range.
        MismatchError: A circuit is one of another graph.

    >>> graph = ModelGraph(n_layers=3, n_heads=4, n_kv_heads=2)
    >>> consensus_circuit([circuit, Circuit.of_heads((), 3, 4)], graph) == circuit
    True
    >>> len(consensus_circuit([circuit, Circuit.of_heads((), 3, 4)], graph, least=1))
    0
    """
    if not circuits or not 0 < least <= 1:
        raise InputError(
            "a consensus is that of at least 1 circuit, of a share above 0 and at most 1 of them; "
            f"got {len(circuits)} circuits and a share of {least}"
        )
    for circuit in circuits:
        edge_mask(circuit, graph)
    count = least_count(least, len(circuits))
    heads = _in_at_least(count, (circuit.heads for circuit in circuits))
    units = _in_at_least(count, ({_unit(e, graph) for e in one.connections} for one in circuits))
    effects: defaultdict[Connection, list[float]] = defaultdict(list)
    for edge in (edge for circuit in circuits for edge in circuit.edges):
        effects[edge.connection].append(edge.effect)
    edges = frozenset(
        Edge(path.sender, path.receiver, fmean(values))
        for path, values in effects.items()
        if _unit(path, graph) in units
        and all(end in heads for end in path.ends if isinstance(end, Head))
    )
    found = replace(Circuit.empty(graph), heads=heads, edges=edges)
    return _connected(found, graph) if graph.has_mlps else found


def _connected(circuit: Circuit, graph: ModelGraph) -> Circuit:
    """A circuit without the edges that lead nowhere, and without heads that then have none."""
    left = circuit_of_edges(graph, without_dead_ends(graph, edge_mask(circuit, graph)))
    paths = left.connections
    edges = frozenset(edge for edge in circuit.edges if edge.connection in paths)
    return replace(left, edges=edges)


def _unit(edge: Connection, graph: ModelGraph) -> Unit:
    return edge.sender, graph.unit(edge.receiver)


def _in_at_least(count: int, sets: Iterable[Iterable]) -> frozenset:
    """What at least so many sets have."""
    counts = Counter(item for one in sets for item in one)
    return frozenset(item for item, n in counts.items() if n >= count)
