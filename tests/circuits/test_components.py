from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from circuits.components import (
    HEAD_INPUTS,
    MLP,
    Connection,
    Edge,
    Embedding,
    Head,
    Receiver,
    all_heads,
    parse_node,
)
from circuits.errors import InputError
from circuits.fields import ConnectionSet, HeadSet, parse_effect

heads = st.builds(Head, st.integers(0, 200), st.integers(0, 200))
layers = st.integers(0, 200)
nodes = st.just(Embedding()) | heads | st.builds(MLP, layers)
receivers = (
    st.just(Receiver.logits())
    | st.builds(Receiver, heads, st.sampled_from(HEAD_INPUTS))
    | st.builds(Receiver.mlp, layers)
)
connections = st.builds(Connection, nodes, receivers)


class TestHead:
    def test_prints_as_layer_and_index(self) -> None:
        assert str(Head(9, 6)) == "9.6"

    @given(heads)
    def test_reads_what_it_prints(self, head: Head) -> None:
        assert Head.parse(str(head)) == head
        assert Head.parse(f" {head} ") == head

    @given(heads, heads)
    def test_sorts_by_layer_then_index_as_a_number(self, a: Head, b: Head) -> None:
        assert (a < b) == ((a.layer, a.index) < (b.layer, b.index))
        assert (hash(a) == hash(b)) or a != b

    @pytest.mark.parametrize("text", ["", "9", "9.", ".6", "9.6.q", "-1.6", "a.b", "9,6", "9.6.1"])
    def test_reads_nothing_else(self, text: str) -> None:
        with pytest.raises(InputError, match=r"layer.index, for example 9.6; got"):
            Head.parse(text)

    @pytest.mark.parametrize("thing", [[0, 1], (0, 1), 0.1, None])
    def test_what_is_no_text_is_told_as_it_is(self, thing) -> None:
        for read in (Head.parse, Receiver.parse, Connection.parse):
            with pytest.raises(InputError, match=re.escape(f"got {thing!r}")):
                read(thing)
        assert Head.parse(Head(9, 6)) == Head(9, 6)

    @pytest.mark.parametrize("numbers", [(-1, 0), (0, -1)])
    def test_no_negative_numbers(self, numbers: tuple[int, int]) -> None:
        with pytest.raises(InputError, match=r">= 0, got"):
            Head(*numbers)

    def test_is_frozen(self) -> None:
        with pytest.raises(AttributeError):
            Head(1, 2).layer = 3  # type: ignore[misc]


class TestNode:
    @pytest.mark.parametrize(
        ("text", "node"), [("9.6", Head(9, 6)), ("m9", MLP(9)), ("embed", Embedding())]
    )
    def test_names(self, text: str, node) -> None:
        assert str(node) == text
        assert parse_node(f" {text} ") == node

    @given(nodes)
    def test_reads_what_it_prints(self, node) -> None:
        assert parse_node(str(node)) == node

    @pytest.mark.parametrize("text", ["", "m", "m-1", "m9.6", "M9", "9", "embedding", "logits"])
    def test_reads_nothing_else(self, text: str) -> None:
        with pytest.raises(InputError, match="got"):
            parse_node(text)

    def test_no_negative_layer(self) -> None:
        with pytest.raises(InputError, match="layer must be >= 0, got -1"):
            MLP(-1)

    def test_sorts_as_nodes_write(self) -> None:
        """The embedding first; a layer's MLP behind its heads, whatever their number."""
        names = ["embed", "0.0", "0.9", "0.10", "m0", "1.3", "m1", "9.0", "m9", "10.0", "m10"]
        assert [str(node) for node in sorted(map(parse_node, sorted(names)))] == names

    @given(nodes, nodes)
    def test_order_is_total(self, a, b) -> None:
        assert (a < b) + (b < a) + (a == b) == 1
        assert (a <= b) == (not b < a)
        assert not a < b or a.layer <= b.layer


class TestReceiver:
    def test_prints_with_its_input(self) -> None:
        assert str(Receiver(Head(9, 6), "q")) == "9.6.q"
        assert str(Receiver.mlp(9)) == "m9"
        assert str(Receiver.logits()) == "logits"

    @given(receivers)
    def test_reads_what_it_prints(self, receiver: Receiver) -> None:
        assert Receiver.parse(str(receiver)) == receiver

    @pytest.mark.parametrize(
        "text", ["", "9.6", "9.6.z", "q", "9.q", "LOGITS", "9.6.logits", "9.6.mlp", "m9.q", "embed"]
    )
    def test_reads_nothing_else(self, text: str) -> None:
        with pytest.raises(InputError, match="written"):
            Receiver.parse(text)

    @pytest.mark.parametrize(
        ("node", "name"),
        [
            (Head(1, 1), "logits"),
            (Head(1, 1), "mlp"),
            (MLP(1), "q"),
            (MLP(1), "logits"),
            (None, "q"),
            (None, "mlp"),
        ],
    )
    def test_input_and_node_belong_together(self, node, name) -> None:
        with pytest.raises(InputError, match="must be one of"):
            Receiver(node, name)

    def test_what_it_is_an_input_of(self) -> None:
        query, mlp, logits = Receiver.parse("3.1.q"), Receiver.mlp(3), Receiver.logits()
        assert (query.node, query.head, query.is_logits) == (Head(3, 1), Head(3, 1), False)
        assert (mlp.node, mlp.head, mlp.is_logits) == (MLP(3), None, False)
        assert (logits.node, logits.head, logits.is_logits) == (None, None, True)

    def test_on_head(self) -> None:
        assert Receiver.parse("3.1.v").on_head() == (Head(3, 1), "v")
        for receiver in (Receiver.logits(), Receiver.mlp(3)):
            with pytest.raises(InputError, match=f"{receiver} is no head's input"):
                receiver.on_head()

    @given(st.lists(receivers, max_size=6))
    def test_sorts_by_node_then_input_with_the_logits_last(self, some: list[Receiver]) -> None:
        ordered = sorted(some)
        inner = [(r.node, r.input) for r in ordered if r.node is not None]
        assert inner == sorted(inner)
        assert all(receiver.is_logits for receiver in ordered[len(inner) :])


class TestConnection:
    @given(connections)
    def test_reads_what_it_prints(self, connection: Connection) -> None:
        assert Connection.parse(str(connection)) == connection

    @pytest.mark.parametrize("text", ["", "3.1", "3.1 9.6.q", "3.1 -> 9.6", "logits -> 9.6.q"])
    def test_reads_nothing_else(self, text: str) -> None:
        with pytest.raises(InputError, match="got"):
            Connection.parse(text)

    @pytest.mark.parametrize(
        ("text", "ends"),
        [
            ("3.1 -> 9.6.k", (Head(3, 1), Head(9, 6))),
            ("embed -> m2", (Embedding(), MLP(2))),
            ("m1 -> logits", (MLP(1),)),
        ],
    )
    def test_ends(self, text: str, ends) -> None:
        connection = Connection.parse(text)
        assert connection.ends == ends
        edge = Edge(connection.sender, connection.receiver, 0.5)
        assert (edge.connection, edge.ends) == (connection, ends)

    @given(st.lists(connections, max_size=6))
    def test_sorts_by_sender_then_receiver(self, some: list[Connection]) -> None:
        assert sorted(some) == sorted(some, key=lambda one: (one.sender, one.receiver))


def test_edges_print_and_sort() -> None:
    first = Edge(Head(1, 2), Receiver.parse("9.6.q"), -0.1234)
    assert str(first) == "1.2 -> 9.6.q (-0.123)"
    second = Edge(Head(1, 2), Receiver.logits(), 0.5)
    third = Edge(Head(1, 10), Receiver.parse("3.0.k"), 0.5)
    assert sorted([third, second, first]) == [first, second, third]


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("3.1 -> 3.2.q", True),
        ("3.1 -> 4.1.q", False),
        ("3.1 -> m3", False),
        ("3.1 -> logits", False),
        ("embed -> 0.0.q", False),
    ],
)
def test_only_two_heads_of_one_layer_read_side_by_side(text: str, stays: bool) -> None:
    connection = Connection.parse(text)
    assert Edge(connection.sender, connection.receiver, 0.0).stays_in_layer == stays


@pytest.mark.parametrize("value", [-0.25, "-0.25", 1, True])
def test_effects_are_numbers(value) -> None:
    assert parse_effect(value) == float(value)


@pytest.mark.parametrize("value", [None, "x", [], "nan", float("inf"), 10**400])
def test_nothing_else_is_an_effect(value) -> None:
    with pytest.raises(InputError, match="its effect must be a number, got"):
        parse_effect(value)


def test_all_heads_in_order() -> None:
    assert all_heads(2, 3) == tuple(Head(layer, index) for layer in (0, 1) for index in (0, 1, 2))
    assert list(all_heads(3, 12)) == sorted(all_heads(3, 12))


@given(st.frozensets(heads))
def test_head_sets_in_json(some: frozenset[Head]) -> None:
    adapter = TypeAdapter(HeadSet)
    assert adapter.dump_python(some) == [str(head) for head in sorted(some)]
    assert adapter.validate_json(adapter.dump_json(some)) == some


def test_damaged_head_set_in_json() -> None:
    with pytest.raises(ValidationError, match=r"layer\.index"):
        TypeAdapter(HeadSet).validate_json('["1.2", "one.two"]')


@given(st.frozensets(connections, max_size=5))
def test_sets_of_connections_in_json(some: frozenset[Connection]) -> None:
    adapter = TypeAdapter(ConnectionSet)
    assert adapter.dump_python(some) == [str(one) for one in sorted(some)]
    assert adapter.validate_json(adapter.dump_json(some)) == some
