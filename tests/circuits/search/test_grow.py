"""The search with a dictionary in the place of a model."""

from __future__ import annotations

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from circuits.components import HEAD_INPUTS, Edge, Head, Receiver, parse_node
from circuits.graph import ModelGraph
from circuits.search import SelectionRule, ThresholdSelector
from circuits.search.grow import grow, receivers_of
from tests.circuits.search.effects import LOGITS, heads

GRAPH = ModelGraph(n_layers=3, n_heads=8, n_kv_heads=8)
SELECTOR = ThresholdSelector(SelectionRule(threshold=1.0, logits_threshold=1.0), GRAPH)


def table_of(*edges: str, graph: ModelGraph = GRAPH) -> dict[Receiver, torch.Tensor]:
    """Effects of -1 on the edges named ("0.1 > 2.3.q"), 0 on others, of the senders below."""
    table = {r: torch.zeros(graph.below(r).stop) for r in graph.receivers}
    for edge in edges:
        sender, receiver = edge.split(" > ")
        table[Receiver.parse(receiver)][graph.column(parse_node(sender))] = -1.0
    return table


class TestGrow:
    def test_from_the_logits_down(self) -> None:
        edges = ("2.3 > logits", "1.1 > 2.3.q", "0.4 > 1.1.v", "0.5 > 2.3.k")
        circuit = grow(table_of(*edges).__getitem__, SELECTOR, GRAPH)
        assert circuit.heads == heads("2.3", "1.1", "0.4", "0.5")
        assert {f"{edge.sender} > {edge.receiver}" for edge in circuit.edges} == set(edges)
        assert all(edge.effect == -1.0 for edge in circuit.edges)
        assert (circuit.n_layers, circuit.n_heads) == (3, 8)

    def test_what_reaches_nothing_stays_out(self) -> None:
        """1.2 -> 2.6 is strong, but 2.6 sends nowhere."""
        table = table_of("2.3 > logits", "1.2 > 2.6.q", "0.0 > 1.2.q")
        assert grow(table.__getitem__, SELECTOR, GRAPH).heads == heads("2.3")

    def test_one_sender_of_several_receivers(self) -> None:
        edges = ("2.3 > logits", "2.4 > logits", "0.1 > 2.3.q", "0.1 > 2.4.k", "0.1 > 2.4.v")
        circuit = grow(table_of(*edges).__getitem__, SELECTOR, GRAPH)
        assert circuit.heads == heads("2.3", "2.4", "0.1")
        assert len(circuit.edges) == 5

    def test_nothing_found(self) -> None:
        circuit = grow(table_of().__getitem__, SELECTOR, GRAPH)
        assert (circuit.heads, circuit.edges) == (frozenset(), frozenset())

    def test_every_receiver_is_asked_for_once_and_from_the_top(self) -> None:
        """Late senders of a low head must be known before its own inputs are looked at."""
        table = table_of(
            "2.7 > logits",
            "0.2 > logits",
            "1.0 > 2.7.q",
            "1.5 > 2.7.v",
            "0.2 > 1.5.q",
            "0.3 > 1.0.k",
        )
        asked: list[Receiver] = []

        def effects_of(receiver: Receiver) -> torch.Tensor:
            asked.append(receiver)
            return table[receiver]

        circuit = grow(effects_of, SELECTOR, GRAPH)
        assert asked[0] == LOGITS
        assert len(set(asked)) == len(asked)
        layers = [receiver.on_head()[0].layer for receiver in asked[1:]]
        assert layers == sorted(layers, reverse=True)
        assert {str(r) for r in asked[1:]} == {
            f"{head}.{i}" for head in ("2.7", "1.0", "1.5") for i in HEAD_INPUTS
        }, "layer 0 receives from no head"
        assert circuit.heads == heads("2.7", "1.0", "1.5", "0.2", "0.3")

    @settings(deadline=None, max_examples=40)
    @given(st.integers(0, 10**6), st.floats(0.3, 3))
    def test_ends_and_every_head_is_reached(self, seed: int, threshold: float) -> None:
        noise = torch.Generator().manual_seed(seed)
        table = {r: e + torch.randn(e.shape, generator=noise) for r, e in table_of().items()}
        rule = SelectionRule(threshold=threshold, logits_threshold=threshold)
        selector = ThresholdSelector(rule, GRAPH)
        circuit = grow(table.__getitem__, selector, GRAPH)
        assert {edge.sender for edge in circuit.edges} == circuit.heads
        for edge in circuit.edges:
            assert edge.effect == float(table[edge.receiver][GRAPH.column(edge.sender)])
            assert edge.sender in selector.select(table[edge.receiver], edge.receiver)
            if edge.receiver.head is not None:
                assert edge.receiver.head in circuit.heads
        asked = [LOGITS, *(Receiver(head, i) for head in circuit.heads for i in HEAD_INPUTS)]
        kept = {
            (s, r)
            for r in asked
            if r.head is None or r.head.layer
            for s in selector.select(table[r], r)
        }
        assert {(edge.sender, edge.receiver) for edge in circuit.edges} == kept

    def test_effects_are_recorded_with_their_sign(self) -> None:
        table = table_of("2.3 > logits")
        table[LOGITS][GRAPH.column(Head(2, 3))] = 0.75
        circuit = grow(table.__getitem__, SELECTOR, GRAPH)
        assert circuit.edges == {Edge(Head(2, 3), LOGITS, 0.75)}

    @settings(deadline=None, max_examples=20)
    @given(st.integers(0, 10**6))
    def test_receivers_of_a_circuit_are_those_the_search_asks_for(self, seed: int) -> None:
        noise, asked = torch.Generator().manual_seed(seed), []
        table = {r: e + torch.randn(e.shape, generator=noise) for r, e in table_of().items()}

        def effects_of(receiver: Receiver) -> torch.Tensor:
            asked.append(receiver)
            return table[receiver]

        circuit = grow(effects_of, SELECTOR, GRAPH)
        assume(len(asked) > 4)
        assert set(receivers_of(circuit, GRAPH)) == set(asked)
        assert len(receivers_of(circuit, GRAPH)) == len(asked)
