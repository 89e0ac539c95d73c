from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from circuits.components import HEAD_INPUTS, Edge, Head, HeadSet, Receiver, all_heads

heads = st.builds(Head, st.integers(0, 200), st.integers(0, 200))
receivers = st.just(Receiver.logits()) | st.builds(Receiver, heads, st.sampled_from(HEAD_INPUTS))


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
        with pytest.raises(ValueError, match=r"layer.index, for example 9.6; got"):
            Head.parse(text)

    @pytest.mark.parametrize("numbers", [(-1, 0), (0, -1)])
    def test_no_negative_numbers(self, numbers: tuple[int, int]) -> None:
        with pytest.raises(ValueError, match=r">= 0, got"):
            Head(*numbers)

    def test_is_frozen(self) -> None:
        with pytest.raises(AttributeError):
            Head(1, 2).layer = 3  # type: ignore[misc]


class TestReceiver:
    def test_prints_with_its_input(self) -> None:
        assert str(Receiver(Head(9, 6), "q")) == "9.6.q"
        assert str(Receiver.logits()) == "logits"

    @given(receivers)
    def test_reads_what_it_prints(self, receiver: Receiver) -> None:
        assert Receiver.parse(str(receiver)) == receiver

    @pytest.mark.parametrize("text", ["", "9.6", "9.6.z", "q", "9.q", "LOGITS", "9.6.logits"])
    def test_reads_nothing_else(self, text: str) -> None:
        with pytest.raises(ValueError, match="written"):
            Receiver.parse(text)

    def test_input_and_head_belong_together(self) -> None:
        with pytest.raises(ValueError, match="must be one of"):
            Receiver(Head(1, 1), "logits")
        with pytest.raises(ValueError, match="must be one of"):
            Receiver(None, "q")

    def test_on_head(self) -> None:
        assert Receiver.parse("3.1.v").on_head() == (Head(3, 1), "v")
        with pytest.raises(ValueError, match="logits"):
            Receiver.logits().on_head()

    @pytest.mark.parametrize(
        ("name", "n_kv_heads", "expected"),
        [
            ("2.5.q", 2, "2.5.q"),
            ("2.5.k", 2, "2.3.k"),
            ("2.2.v", 2, "2.0.v"),
            ("2.5.v", 6, "2.5.v"),
            ("2.5.k", 1, "2.0.k"),
            ("logits", 2, "logits"),
        ],
    )
    def test_shared_is_the_first_head_of_the_group(self, name, n_kv_heads, expected) -> None:
        assert Receiver.parse(name).shared(6, n_kv_heads) == Receiver.parse(expected)

    @given(st.lists(receivers, max_size=6))
    def test_sorts_with_the_logits_last(self, some: list[Receiver]) -> None:
        ordered = sorted(some)
        inner = [receiver.on_head() for receiver in ordered if receiver.head]
        assert inner == sorted(inner)
        assert all(receiver.head is None for receiver in ordered[len(inner) :])


def test_edges_print_and_sort() -> None:
    first = Edge(Head(1, 2), Receiver.parse("9.6.q"), -0.1234)
    assert str(first) == "1.2 -> 9.6.q (-0.123)"
    second = Edge(Head(1, 2), Receiver.logits(), 0.5)
    third = Edge(Head(1, 10), Receiver.parse("3.0.k"), 0.5)
    assert sorted([third, second, first]) == [first, second, third]


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
