"""What senders make of a layer's input, however it is asked for and however little is kept."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from circuits.components import Head, all_heads
from circuits.forward import LayeredModel, PairedActivations
from circuits.forward.positions import ActivePositions
from circuits.metrics import logit_diff
from circuits.patching.exact import SenderStates
from circuits.patching.senders import clean_output
from tests.circuits.families import N_HEADS, deeper_model
from tests.circuits.prompts import ragged_pairs

DEPTH = 4
ROWS = 1 << 12
BELOW = tuple(all_heads(layer, N_HEADS) for layer in range(DEPTH + 1))


@lru_cache
def run() -> PairedActivations:
    return PairedActivations.of(LayeredModel.of(deeper_model(DEPTH)), ragged_pairs(3), logit_diff)


@lru_cache
def fresh(layer: int, sender: Head) -> torch.Tensor:
    return SenderStates(run(), ROWS, 0).at(layer, (sender,))[1][0]


def flops_of(states: SenderStates, layer: int, senders: tuple[Head, ...]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        states.at(layer, senders)
    return counter.get_total_flops()


questions = st.lists(
    st.integers(1, DEPTH).flatmap(
        lambda layer: st.tuples(
            st.just(layer), st.lists(st.sampled_from(BELOW[layer]), unique=True, max_size=5)
        )
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=30)
@given(questions, st.sampled_from([0, 5_000, 20_000, 1 << 30]), st.sampled_from([1, ROWS]))
def test_states_do_not_depend_on_what_was_asked_before(asked, kept_bytes, max_rows) -> None:
    states = SenderStates(run(), max_rows, kept_bytes)
    with torch.no_grad():
        for layer, senders in asked:
            tokens, found = states.at(layer, tuple(senders))
            assert found.shape[:2] == (len(senders), len(tokens))
            for sender, state in zip(senders, found, strict=True):
                torch.testing.assert_close(state, fresh(layer, sender), rtol=0, atol=1e-5)


def test_what_was_passed_on_the_way_up_is_not_computed_again() -> None:
    states = SenderStates(run(), ROWS, 1 << 30)
    assert flops_of(states, DEPTH - 1, BELOW[DEPTH - 1]) > 0
    for layer in (DEPTH - 1, DEPTH - 2, 1):
        assert flops_of(states, layer, BELOW[layer]) == 0


def test_only_new_senders_are_computed() -> None:
    some = BELOW[2][:3]
    states, alone = (SenderStates(run(), ROWS, 1 << 30) for _ in range(2))
    flops_of(states, 2, some)
    alone.projected(1)
    both = flops_of(states, 2, (*some, Head(1, 2)))
    assert both == flops_of(alone, 2, (Head(1, 2),)) > 0


def test_what_all_senders_share_of_a_layer_is_computed_once() -> None:
    states = SenderStates(run(), ROWS, 0)
    with FlopCounterMode(display=False) as once:
        first = states.projected(1)
    with FlopCounterMode(display=False) as again:
        assert states.projected(1) is first
    assert once.get_total_flops() > again.get_total_flops() == 0
    tokens = ActivePositions.between_difference_and_end(run().pairs)
    torch.testing.assert_close(first, clean_output(run(), 1, tokens))


@pytest.mark.parametrize("rows", [0, 5, 13, 17, 10**6])
def test_no_more_is_kept_than_allowed_beside_the_layer_asked_for(rows: int) -> None:
    states = SenderStates(run(), ROWS, 0)
    states._kept_rows = rows
    layer = DEPTH - 1
    states.at(layer, BELOW[layer])
    kept = {index: len(known) for index, known in states._kept.items()}
    assert kept[layer] == len(BELOW[layer])
    assert sum(kept.values()) <= max(rows, kept[layer])
    assert set(kept) == set(range(min(kept), layer + 1)), "the lowest layers are forgotten first"


def test_layers_above_are_kept_while_there_is_room() -> None:
    states = SenderStates(run(), ROWS, 1 << 30)
    states.at(3, BELOW[3])
    states.at(1, BELOW[1])
    assert set(states._kept) == {1, 2, 3}
    assert flops_of(states, 3, BELOW[3]) == 0


@pytest.mark.parametrize(("rows", "kept"), [(16, {1, 3}), (15, {1})])
def test_layers_above_are_forgotten_first(rows: int, kept: set[int]) -> None:
    """Twelve senders reach layer 3 and are kept there; then four reach layer 1."""
    states = SenderStates(run(), ROWS, 0)
    states._kept_rows = rows
    states.at(3, BELOW[3])
    assert set(states._kept) == {3}
    states.at(1, BELOW[1])
    assert set(states._kept) == kept


def test_no_senders_no_states() -> None:
    states = SenderStates(run(), ROWS, 1 << 30)
    for layer in (2, DEPTH):
        tokens, found = states.at(layer, ())
        assert found.shape == (0, len(tokens), 32)
