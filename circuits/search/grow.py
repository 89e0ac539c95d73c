"""Growing a circuit from edge effects. Knows no model: effects come from a function."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from circuits.circuit import Circuit
from circuits.components import MLP, Edge, Head, Node, Receiver
from circuits.graph import ModelGraph

EffectsOf = Callable[[Receiver], Float[Tensor, " sender"]]
"""Effects of the senders that a receiver may read, in the graph's order; NaN: none is known."""


@runtime_checkable
class Selector(Protocol):
    """What decides which senders are kept.

    >>> class Strongest:  # one sender for each receiver
    ...     def select(self, effects, receiver):
    ...         return (graph.senders[int(effects.abs().nan_to_num().argmax())],)
    ...     def deciding(self, effects, errors, receiver):
    ...         return ()
    >>> circuit = grow(effects.into, Strongest(), graph)
    >>> len(circuit.edges) == len(receivers_of(circuit, graph))
    True
    """

    def select(self, effects: Float[Tensor, " sender"], receiver: Receiver) -> tuple[Node, ...]:
        """The senders kept for one receiver; NaN marks what sends nothing to it."""
        ...

    def deciding(
        self,
        effects: Float[Tensor, " sender"],
        errors: Float[Tensor, " sender"],
        receiver: Receiver,
    ) -> tuple[Node, ...]:
        """The senders to be run exactly next; none when no selection can flip within `errors`.

        `errors` says how far each effect may be off, in the same unit; 0 where it is exact.
        """
        ...


def grow(effects_of: EffectsOf, selector: Selector, graph: ModelGraph) -> Circuit:
    """From the logits downward: senders that are kept become receivers, until none is new.

    Receivers are visited from the top down, so that every sender of a node is known before the
    node's own inputs are looked at, and one layer's receivers follow each other.
    """
    edges: set[Edge] = set()
    found: set[Node] = set()
    waiting: list[tuple[tuple[int, int, int], Node]] = []
    receivers: Iterator[Receiver] = iter([Receiver.logits()])
    while True:
        for receiver in receivers:
            effects = effects_of(receiver)
            for sender in selector.select(effects, receiver):
                edges.add(Edge(sender, receiver, float(effects[graph.column(sender)])))
                if sender not in found:
                    heapq.heappush(waiting, (_turn(sender), sender))
                found.add(sender)
        if not waiting:
            heads = frozenset(node for node in found if isinstance(node, Head))
            return Circuit(heads, frozenset(edges), graph.n_layers, graph.n_heads, graph.mlps)
        receivers = iter(graph.inputs(heapq.heappop(waiting)[1]))


def receivers_of(circuit: Circuit, graph: ModelGraph) -> tuple[Receiver, ...]:
    """The receivers that a search which found this circuit has looked at."""
    return inputs_of(sorted(circuit.nodes), graph)


def inputs_of(nodes: Iterable[Node], graph: ModelGraph) -> tuple[Receiver, ...]:
    """The logits, and what some nodes read."""
    return (Receiver.logits(), *(receiver for node in nodes for receiver in graph.inputs(node)))


def chosen(mask: Bool[Tensor, " sender"], graph: ModelGraph) -> tuple[Node, ...]:
    """The senders that a mask marks."""
    return tuple(graph.senders[column] for column in mask.nonzero()[:, 0].tolist())


def _turn(node: Node) -> tuple[int, int, int]:
    """Top layers first; in one layer the MLP, which reads its heads."""
    if isinstance(node, Head):
        return -node.layer, 1, node.index
    return -node.layer, 0 if isinstance(node, MLP) else 1, 0
