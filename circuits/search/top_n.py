"""The strongest edges of all, whatever receiver they are on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from circuits.circuit import Circuit
from circuits.components import Edge, Head, Node, Receiver
from circuits.graph import ModelGraph
from circuits.patching import EdgeValues
from circuits.runtime.progress import Progress
from circuits.search.rules import SelectionRule
from circuits.search.source import EdgeSource, Grown


class _TopN:
    """`n_edges` edges of the largest |effect|; those that lead nowhere are dropped."""

    name = "top-n"
    description = "the --n-edges strongest edges; those that lead nowhere are dropped"

    def find(
        self, source: EdgeSource, rules: Sequence[SelectionRule], progress: Progress
    ) -> list[Grown]:
        """One circuit whatever the rules; the effects of its edges are exact where verified."""
        effects = source.estimates(progress.within(0, 0.9)).effects
        edges = strongest(effects, source.settings.n_edges)
        if source.settings.verify or source.is_exact:
            effects = _with_exact(source, effects, edges)
            edges = [
                Edge(edge.sender, edge.receiver, effects.of(edge.sender, edge.receiver))
                for edge in edges
            ]
        graph = source.graph
        kept = leading_to_logits(edges, graph)
        heads = frozenset(n for edge in kept for n in edge.ends if isinstance(n, Head))
        circuit = Circuit(heads, frozenset(kept), graph.n_layers, graph.n_heads, graph.mlps)
        return [Grown(circuit, effects) for _ in rules]


TOP_N = _TopN()


def strongest(effects: EdgeValues, n: int) -> list[Edge]:
    """The edges of the largest |effect|, ties in the graph's order."""
    graph, sizes = effects.graph, effects.values.abs().nan_to_num(-1.0)
    order = sizes.flatten().argsort(descending=True, stable=True)[:n]
    places = [divmod(int(place), len(graph.senders)) for place in order]
    return [
        Edge(graph.senders[column], graph.receivers[row], float(effects.values[row, column]))
        for row, column in places
        if sizes[row, column] >= 0
    ]


def leading_to_logits(edges: Iterable[Edge], graph: ModelGraph) -> list[Edge]:
    """The edges from which the logits can be reached along others.

    One into a shared key or value is there for every head that reads it and leads there.
    """
    into: defaultdict[Node | None, list[Edge]] = defaultdict(list)
    for edge in edges:
        for receiver in graph.members(edge.receiver):
            into[receiver.node].append(replace(edge, receiver=receiver))
    found: list[Edge] = []
    waiting: list[Node | None] = [None]
    seen: set[Node | None] = {None}
    while waiting:
        for edge in into[waiting.pop()]:
            found.append(edge)
            if edge.sender not in seen:
                seen.add(edge.sender)
                waiting.append(edge.sender)
    return found


def _with_exact(source: EdgeSource, effects: EdgeValues, edges: Sequence[Edge]) -> EdgeValues:
    """Exact effects in the place of those of some edges."""
    senders: defaultdict[Receiver, list[Node]] = defaultdict(list)
    for edge in edges:
        senders[edge.receiver].append(edge.sender)
    exact = EdgeValues.unknown(_graph(effects))
    for receiver in sorted(senders, reverse=True):
        exact.into(receiver).copy_(source.measured(receiver, senders[receiver]))
    return effects.replaced(exact)


def _graph(effects: EdgeValues) -> ModelGraph:
    return effects.graph
