from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.components import HEAD_INPUTS, Head, Receiver, all_heads
from circuits.patching.known import KnownEffects

SIZES = (3, 4, 2)
HEADS = all_heads(3, 4)
receivers = st.just(Receiver.logits()) | st.builds(
    Receiver, st.sampled_from(HEADS), st.sampled_from(HEAD_INPUTS)
)
measured = st.dictionaries(st.sampled_from(HEADS), st.floats(-1, 1, width=32), max_size=5)
LOWEST = (Head(0, 0), Head(0, 1))


def unit(receiver: Receiver) -> tuple:
    """What decides an effect: k and v heads 0, 1 and 2, 3 share an input."""
    if receiver.head is None or receiver.input == "q":
        return (receiver.head, receiver.input)
    return (receiver.head.layer, receiver.head.index // 2, receiver.input)


@settings(deadline=None)
@given(st.lists(st.tuples(receivers, measured), max_size=6), receivers)
def test_it_knows_what_it_was_told_last(told, asked) -> None:
    heard, expected = [], {}
    known = KnownEffects(*SIZES, learn=lambda *what: heard.append(what))
    for receiver, effects in told:
        known.add(receiver, tuple(effects), list(effects.values()))
        for head, effect in effects.items():
            expected[unit(receiver), head] = effect
    assert len(known) == len(expected)
    assert known.missing(asked, HEADS) == tuple(
        head for head in HEADS if (unit(asked), head) not in expected
    )
    table = torch.full((3, 4), torch.nan)
    for head in HEADS:
        table[head.layer, head.index] = expected.get((unit(asked), head), torch.nan)
    for found in (known.everything(asked), known.of(asked, HEADS), known.table().effects(asked)):
        torch.testing.assert_close(found, table, rtol=0, atol=0, equal_nan=True)
    again = KnownEffects(*SIZES)
    for what in heard:
        again.restore(*what)
    assert torch.equal(again.everything(asked).nan_to_num(9), table.nan_to_num(9))


def test_only_the_senders_asked_for_are_given() -> None:
    known = KnownEffects(*SIZES)
    known.add(Receiver.logits(), HEADS, [0.5] * 12)
    found = known.of(Receiver.logits(), LOWEST)
    assert (~found.isnan()).nonzero().tolist() == [[0, 0], [0, 1]]


def test_what_is_restored_is_not_learned_again() -> None:
    known = KnownEffects(*SIZES, learn=lambda *what: pytest.fail("learned"))
    known.restore(Receiver.parse("2.1.k"), LOWEST, [0.1, 0.2])
    assert len(known) == 2


def test_learning_names_the_first_head_of_a_group() -> None:
    heard = []
    known = KnownEffects(*SIZES, learn=lambda *what: heard.append(what))
    known.add(Receiver.parse("2.3.v"), LOWEST, [0.1, 0.2])
    assert heard == [(Receiver.parse("2.2.v"), LOWEST, [0.1, 0.2])]


def test_what_is_given_is_a_copy() -> None:
    known = KnownEffects(*SIZES)
    known.add(Receiver.logits(), LOWEST, [0.1, 0.2])
    known.everything(Receiver.logits())[:] = 7
    known.of(Receiver.logits(), LOWEST)[:] = 7
    known.table().logits[:] = 7
    assert known.everything(Receiver.logits())[0, :2].tolist() == pytest.approx([0.1, 0.2])
