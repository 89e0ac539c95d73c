"""Estimates, the sizes of what they leave out, and the truth, with nothing behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from circuits.circuit import Circuit
from circuits.components import HEAD_INPUTS, Node, Receiver
from circuits.graph import ModelGraph
from circuits.patching import EdgeEstimates, EdgeValues
from circuits.search import SelectionRule, Selector, ThresholdSelector, Verifier
from circuits.search.at_rest import verified_growth
from circuits.search.grow import grow
from circuits.search.verification import Verification

GRAPH = ModelGraph(n_layers=4, n_heads=6, n_kv_heads=3)
LOGITS = Receiver.logits()
EVERY = (LOGITS, *(Receiver(head, name) for head in GRAPH.heads for name in HEAD_INPUTS))
RULE = SelectionRule(threshold=1.0, logits_threshold=0.8, min_effect=0.01)
SELECTOR = ThresholdSelector(RULE, GRAPH)


@dataclass
class World:
    """One number for every edge, and what was asked for."""

    estimate: EdgeValues
    remainder: EdgeValues
    exact: EdgeValues
    asked: list[tuple[Receiver, Node]] = field(default_factory=list)

    @classmethod
    def random(cls, seed: int, curvature: float = 1.0, uncertain: int | None = None) -> World:
        """`exact - estimate` is at most `curvature` remainders; the logits are exact.

        With `uncertain`, only so many senders of a receiver have a remainder at all.
        """
        draw, n = torch.Generator().manual_seed(seed), len(GRAPH.senders)
        world = cls(*(EdgeValues.unknown(GRAPH) for _ in range(3)))
        for unit in dict.fromkeys(map(GRAPH.unit, EVERY)):
            below = GRAPH.below(unit)
            noise = 2 * torch.rand(n, generator=draw)[below] - 1
            estimate = 0.05 * torch.randn(n, generator=draw)[below] ** 3
            remainder = 0.05 * torch.rand(n, generator=draw)[below] ** 2
            if uncertain is not None:
                remainder[torch.rand(n, generator=draw)[below].argsort()[uncertain:]] = 0.0
            if unit.is_logits:
                remainder[:] = 0.0
            world.estimate.into(unit).copy_(estimate)
            world.remainder.into(unit).copy_(remainder)
            world.exact.into(unit).copy_(estimate + curvature * noise * remainder)
        return world

    @property
    def estimates(self) -> EdgeEstimates:
        return EdgeEstimates(self.estimate, self.remainder)

    def measure(self, receiver: Receiver, senders: tuple[Node, ...]) -> list[float]:
        self.asked.extend((receiver, sender) for sender in senders)
        return [self.exact.of(sender, receiver) for sender in senders]

    def verifier(self, n_sampled: int = 0, seed: int = 0) -> Verifier:
        return Verifier(self.estimates, self.measure, n_sampled, seed)

    def true_circuit(self, selector: Selector = SELECTOR) -> Circuit:
        return grow(self.exact.into, selector, GRAPH)


def searched(verifier: Verifier, selector: Selector = SELECTOR) -> tuple[Circuit, Verification]:
    (found,) = verified_growth(verifier, [selector])
    return found


def paths(circuit: Circuit) -> set[tuple[Node, Receiver]]:
    return {(edge.sender, edge.receiver) for edge in circuit.edges}


def changed(values: EdgeValues, change: Callable[[torch.Tensor], torch.Tensor]) -> EdgeValues:
    """Other numbers for the edges there are."""
    return EdgeValues(values.graph, change(values.values))
