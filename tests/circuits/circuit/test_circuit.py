from __future__ import annotations

import json
import math

import pytest
from hypothesis import given

from circuits.circuit import Circuit
from circuits.components import MLP, Edge, Embedding, Head, Receiver
from circuits.errors import InputError, MismatchError
from tests.circuits.strategies import N_HEADS, N_LAYERS, circuits, node_circuits


def paths_of(circuit: Circuit) -> set[tuple[Head, Receiver]]:
    return {(edge.sender, edge.receiver) for edge in circuit.edges}


class TestSetAlgebra:
    @given(circuits(), circuits())
    def test_heads_are_those_of_the_sets(self, a: Circuit, b: Circuit) -> None:
        assert (a & b).heads == a.heads & b.heads
        assert (a | b).heads == a.heads | b.heads
        assert (a - b).heads == a.heads - b.heads

    @given(circuits(), circuits())
    def test_union_keeps_every_path_and_the_first_effect(self, a: Circuit, b: Circuit) -> None:
        both = a | b
        assert paths_of(both) == paths_of(a) | paths_of(b)
        assert len(both.edges) == len(paths_of(both)), "one effect for one path"
        assert a.edges <= both.edges

    @given(circuits(), circuits())
    def test_intersection_and_difference_are_parts(self, a: Circuit, b: Circuit) -> None:
        for part in (a & b, a - b):
            assert part.edges <= a.edges
            inside = {
                edge
                for edge in a.edges
                if edge.sender in part.heads
                and (edge.receiver.head is None or edge.receiver.head in part.heads)
            }
            assert part.edges == inside

    @given(circuits(), circuits(), circuits())
    def test_laws(self, a: Circuit, b: Circuit, c: Circuit) -> None:
        empty = Circuit.of_heads([], N_LAYERS, N_HEADS)
        assert a & a == a | a == a | empty == a - empty == a
        assert a - a == a & empty == empty
        assert (a | b) | c == a | (b | c)
        assert (a & b) & c == a & (b & c)
        assert (a - b).heads | (a & b).heads == a.heads
        assert a & b == a.restricted_to(b.heads)

    def test_only_within_one_model(self) -> None:
        small, large = Circuit.of_heads(["0.0"], 2, 2), Circuit.of_heads(["0.0"], 3, 2)
        for combine in (Circuit.__and__, Circuit.__or__, Circuit.__sub__, Circuit.compare):
            with pytest.raises(MismatchError, match="2 layers x 2 heads and 3 x 2"):
                combine(small, large)

    @given(node_circuits(), node_circuits())
    def test_nodes_are_those_of_the_sets(self, a: Circuit, b: Circuit) -> None:
        """But for MLPs and the embedding, which are there by their edges alone."""
        assert (a | b).nodes == a.nodes | b.nodes
        assert (a | b).edges >= a.edges
        for part, kept in ((a & b, a.nodes & b.nodes), (a - b, a.nodes - b.nodes)):
            assert part.heads == a.heads & kept
            assert part.edges == {edge for edge in a.edges if kept >= {*edge.ends}}
            assert part.nodes <= kept
            assert part.mlps == "nodes"
        empty = a.restricted_to(())
        assert a & a == a | a == a | empty == a - empty == a
        assert a - a == a & empty == empty

    def test_only_within_one_graph(self) -> None:
        one = Circuit.of_heads(["0.0"], 2, 2)
        other = Circuit(one.heads, frozenset(), 2, 2, "nodes")
        assert one != other
        for combine in (Circuit.__and__, Circuit.__or__, Circuit.__sub__, Circuit.compare):
            with pytest.raises(
                MismatchError, match='with mlps="path" and with mlps="nodes": their'
            ):
                combine(one, other)


class TestJson:
    @given(circuits())
    def test_round_trip(self, circuit: Circuit) -> None:
        assert Circuit.from_json(circuit.to_json()) == circuit

    @given(node_circuits())
    def test_round_trip_of_nodes(self, circuit: Circuit) -> None:
        assert Circuit.from_json(circuit.to_json()) == circuit
        assert circuit.to_dict()["mlps"] == "nodes"

    def test_form(self) -> None:
        edge = Edge(Head(0, 1), Receiver.parse("2.1.q"), -0.5)
        circuit = Circuit(frozenset({Head(2, 1), Head(0, 1)}), frozenset({edge}), 3, 2)
        assert json.loads(circuit.to_json()) == {
            "n_layers": 3,
            "n_heads": 2,
            "heads": ["0.1", "2.1"],
            "edges": [{"sender": "0.1", "receiver": "2.1.q", "effect": -0.5}],
        }

    def test_edges_may_be_left_out(self) -> None:
        text = '{"n_layers": 3, "n_heads": 2, "heads": ["0.1"]}'
        assert Circuit.from_json(text) == Circuit.of_heads(["0.1"], 3, 2)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "must be JSON"),
            ("[]", "a circuit needs .*n_layers.* got list"),
            ('{"heads": []}', "a circuit needs .* got .*heads"),
            ('{"n_layers": 3, "n_heads": 2, "heads": ["0.0", "x"]}', r"heads\[1\] .*layer.index"),
            (
                '{"n_layers": 3, "n_heads": 2, "heads": [[0, 1]]}',
                r"heads\[0\] of a circuit is malformed: a head is .* 9.6; got \[0, 1\]$",
            ),
            ('{"n_layers": 3, "n_heads": 2, "heads": 5}', "heads of a circuit must be a list"),
            ('{"n_layers": null, "n_heads": 2, "heads": []}', "n_layers of a circuit is malformed"),
            ('{"n_layers": 3, "n_heads": 2, "heads": ["5.0"]}', "5.0 is outside a model of 3"),
            (
                '{"n_layers": 3, "n_heads": 2, "heads": [], "edges": [{}]}',
                r"\[0\] .* it has no 'sender'",
            ),
            ('{"n_layers": 3, "n_heads": 2, "heads": [], "mlps": "all"}', "mlps .*'nodes'.*'all'"),
            ('{"n_layers": 12.9, "n_heads": 2, "heads": []}', "n_layers .*whole number, got 12.9"),
            ('{"n_layers": 3, "n_heads": true, "heads": []}', "n_heads .*whole number, got True"),
            ('{"n_layers": "3", "n_heads": 2, "heads": []}', "n_layers .*whole number, got '3'"),
            ('{"n_layers": 1000000000, "n_heads": 2, "heads": []}', "to 100000 heads in all"),
            (
                '{"n_layers": 3, "n_heads": 2, "heads": [], "edges": null}',
                "edges .* must be a list",
            ),
        ],
    )
    def test_damage_is_named(self, text: str, message: str) -> None:
        with pytest.raises(InputError, match=message):
            Circuit.from_json(text)


class TestChecks:
    @pytest.mark.parametrize("heads", [[[0, 1]], [(0, 1)], ["0.1", 5]])
    def test_heads_are_heads(self, heads, without_type_checks) -> None:
        with pytest.raises(InputError, match=r"a head is written layer\.index, .*; got [\[(5]"):
            Circuit.of_heads(heads, 3, 2)
        with pytest.raises(InputError, match=r"heads must be heads, such as Head\(9, 6\), got"):
            Circuit(frozenset(map(str, heads)), frozenset(), 3, 2)

    @pytest.mark.parametrize("head", ["3.0", "0.2"])
    def test_heads_are_in_the_model(self, head: str) -> None:
        with pytest.raises(InputError, match=f"{head} is outside a model of 3 layers x 2 heads"):
            Circuit.of_heads([head], 3, 2)

    @pytest.mark.parametrize(("sender", "receiver"), [("0.0", "2.0.q"), ("1.0", "0.1.k")])
    def test_edges_are_in_the_circuit(self, sender: str, receiver: str) -> None:
        edge = Edge(Head.parse(sender), Receiver.parse(receiver), 0.1)
        heads = frozenset({Head(0, 0), Head(0, 1)})
        with pytest.raises(InputError, match="leaves the circuit"):
            Circuit(heads, frozenset({edge}), 3, 2)

    @pytest.mark.parametrize(
        ("sender", "receiver"), [("0.0", "0.1.q"), ("0.0", "0.0.v"), ("2.0", "1.0.k")]
    )
    def test_edges_lead_upward(self, sender: str, receiver: str) -> None:
        edge = Edge(Head.parse(sender), Receiver.parse(receiver), 0.1)
        heads = frozenset({Head(0, 0), Head(0, 1), Head(1, 0), Head(2, 0)})
        with pytest.raises(InputError, match="does not lead to a higher layer"):
            Circuit(heads, frozenset({edge}), 3, 2)

    def test_edges_join_heads(self) -> None:
        for sender, receiver in ((Head(0, 0), Receiver.mlp(1)), (MLP(0), Receiver.logits())):
            edge = Edge(sender, receiver, 0.1)
            with pytest.raises(InputError, match=f"{sender} -> {receiver} .*leaves the circuit"):
                Circuit(frozenset({Head(0, 0)}), frozenset({edge}), 3, 2)

    @pytest.mark.parametrize(
        ("sender", "receiver", "message"),
        [
            (MLP(0), Receiver.parse("0.0.q"), "does not lead to a higher layer"),
            (MLP(0), Receiver.mlp(0), "does not lead to a higher layer"),
            (Head(0, 0), Receiver.parse("0.0.q"), "does not lead to a higher layer"),
            (Embedding(), Receiver.mlp(3), "is outside a model of 3 layers x 2 heads"),
            (MLP(0), Receiver.parse("2.1.v"), "leaves the circuit of 1 heads$"),
        ],
    )
    def test_edges_of_nodes(self, sender, receiver, message) -> None:
        with pytest.raises(InputError, match=message):
            Circuit(
                frozenset({Head(0, 0)}), frozenset({Edge(sender, receiver, 0.0)}), 3, 2, "nodes"
            )

    def test_nodes_are_heads_and_the_ends_of_edges(self) -> None:
        paths = [(Head(0, 0), Receiver.mlp(0)), (Embedding(), Receiver.parse("0.0.k"))]
        edges = frozenset(Edge(*path, 0.5) for path in paths)
        circuit = Circuit(frozenset({Head(0, 0), Head(2, 1)}), edges, 3, 2, "nodes")
        assert circuit.nodes == {Embedding(), Head(0, 0), MLP(0), Head(2, 1)}
        assert MLP(0) in circuit
        assert MLP(1) not in circuit
        assert circuit.restricted_to([Head(0, 0), MLP(0)]).edges == {Edge(*paths[0], 0.5)}
        assert circuit.restricted_to([MLP(0), Head(2, 1)]).nodes == {Head(2, 1)}

    def test_what_mlps_are_is_known(self, without_type_checks) -> None:
        with pytest.raises(InputError, match=r"mlps must be one of .*got 'all'"):
            Circuit(frozenset(), frozenset(), 3, 2, "all")

    @pytest.mark.parametrize("sizes", [(0, 2), (3, 0), (10**9, 1), (1, 10**9), (1000, 101)])
    def test_a_model_has_layers_and_heads(self, sizes: tuple[int, int]) -> None:
        with pytest.raises(InputError, match="a model has layers and heads, got"):
            Circuit.of_heads([], *sizes)

    def test_a_path_has_one_effect(self) -> None:
        edges = {Edge(Head(0, 0), Receiver.logits(), effect) for effect in (0.1, 0.2)}
        with pytest.raises(InputError, match=r"the path 0.0 -> logits has two effects"):
            Circuit(frozenset({Head(0, 0)}), frozenset(edges), 3, 2)

    def test_contains_and_length(self) -> None:
        circuit = Circuit.of_heads([Head(0, 0), "2.1"], 3, 2)
        assert Head(2, 1) in circuit
        assert Head(1, 1) not in circuit
        assert len(circuit) == 2
        assert circuit.sparsity == pytest.approx(4 / 6)


class TestOverlap:
    def test_by_hand(self) -> None:
        found = Circuit.of_heads(["0.0", "1.0", "1.1"], 3, 2)
        reference = Circuit.of_heads(["1.1", "2.0"], 3, 2)
        overlap = found.compare(reference)
        assert overlap.true_positives == {Head(1, 1)}
        assert overlap.false_positives == {Head(0, 0), Head(1, 0)}
        assert overlap.false_negatives == {Head(2, 0)}
        assert overlap.precision == pytest.approx(1 / 3)
        assert overlap.recall == pytest.approx(1 / 2)
        assert overlap.iou == pytest.approx(1 / 4)

    @given(circuits(), circuits())
    def test_precision_is_the_others_recall(self, a: Circuit, b: Circuit) -> None:
        there, back = a.compare(b), b.compare(a)
        assert there.precision == pytest.approx(back.recall, nan_ok=True)
        assert there.iou == pytest.approx(back.iou, nan_ok=True)

    def test_of_nothing_is_not_a_number(self) -> None:
        nothing = Circuit.of_heads([], 3, 2)
        overlap = nothing.compare(nothing)
        assert all(math.isnan(x) for x in (overlap.precision, overlap.recall, overlap.iou))
        assert nothing.compare(Circuit.of_heads(["0.0"], 3, 2)).recall == 0
