"""Effects on one receiver at a time: what is known is taken for granted, the rest learned once."""

from __future__ import annotations

import pytest
import torch

from circuits.components import Head, Receiver, all_heads
from circuits.errors import NoEffectError
from circuits.forward import Activations, LayeredModel
from circuits.metrics import logit_diff
from circuits.patching import ESTIMATORS, EdgeValues, MeasuredEffects, path_effects
from circuits.patching.plan import SENDERS_TOGETHER
from tests.circuits.families import N_HEADS, N_LAYERS, deeper_model
from tests.circuits.flops import flops
from tests.circuits.prompts import ragged_pairs

KEY, TWIN, OTHER = (Receiver.parse(name) for name in ("2.0.k", "2.1.k", "2.2.k"))
LOGITS = Receiver.logits()
LOWEST = (Head(0, 0), Head(0, 1))


@pytest.fixture
def activations(llama, pairs) -> Activations:
    return Activations(LayeredModel.of(llama), pairs, logit_diff)


@pytest.fixture
def learned() -> list:
    return []


@pytest.fixture
def measured(activations, learned) -> MeasuredEffects:
    return measuring(activations, learned)


def measuring(activations: Activations, learned: list, **settings) -> MeasuredEffects:
    known = EdgeValues.unknown(activations.graph())
    return MeasuredEffects(
        activations,
        ESTIMATORS.get("exact"),
        known,
        learn=lambda *what: learned.append(what),
        **settings,
    )


@pytest.mark.parametrize("receiver", [KEY, LOGITS, Receiver.parse("1.3.q")])
def test_effects_are_those_of_the_paths(llama, pairs, measured, receiver: Receiver) -> None:
    expected = path_effects(llama, pairs, receiver, engine="reference").flatten()
    found = measured.into(receiver)
    assert not found.isnan().any()
    torch.testing.assert_close(found, expected[: len(found)], rtol=0, atol=2e-5)


def test_single_effects_come_in_the_order_of_the_senders(measured) -> None:
    senders = [Head(1, 2), Head(0, 3), Head(1, 0)]
    row = measured.into(KEY)
    columns = [measured.known.graph.column(sender) for sender in senders]
    assert measured.of(KEY, senders) == row[columns].tolist()


def test_receivers_share_work(measured) -> None:
    """Asking again, or for the other head of a group, computes nothing."""
    first = measured.into(KEY)
    assert flops(lambda: measured.into(TWIN)) == flops(lambda: measured.of(KEY, LOWEST)) == 0
    assert torch.equal(measured.into(TWIN), first)
    assert torch.equal(measured.known.into(TWIN), first)
    assert measured.known.into(OTHER).isnan().all()
    assert measured.known.into(LOGITS).isnan().all()


def test_only_the_senders_asked_for_are_measured(measured, learned) -> None:
    found = measured.into(LOGITS, [*LOWEST, Head(2, 3)])
    assert (~found.isnan()).nonzero()[:, 0].tolist() == [0, 1, 11]
    assert measured.known.n_known == 3
    assert learned[0][1] == (*LOWEST, Head(2, 3))


def test_only_the_senders_asked_for_are_given(measured) -> None:
    measured.into(LOGITS)
    found = measured.into(LOGITS, LOWEST)
    assert (~found.isnan()).nonzero()[:, 0].tolist() == [0, 1]


def test_senders_above_the_receiver_are_left_out(measured) -> None:
    assert not measured.into(KEY, all_heads(N_LAYERS, N_HEADS)).isnan().any()
    assert measured.into(Receiver.parse("0.1.q")).shape == (0,)


def test_what_is_known_is_taken_for_granted(measured, learned) -> None:
    measured.known.put(KEY, LOWEST, [7.0, 8.0])
    found = measured.into(TWIN)
    assert found[:2].tolist() == [7.0, 8.0]
    ((receiver, senders, effects),) = learned
    assert (receiver, senders) == (KEY, all_heads(2, N_HEADS)[2:])
    assert torch.equal(torch.tensor(effects), found[2:])


def test_what_is_learned_is_named_by_the_first_head_of_a_group(measured, learned) -> None:
    measured.into(Receiver.parse("2.3.v"), LOWEST)
    assert [(what[0], what[1]) for what in learned] == [(Receiver.parse("2.2.v"), LOWEST)]


def test_what_is_given_is_a_copy(measured) -> None:
    before = measured.into(LOGITS).clone()
    measured.into(LOGITS)[:] = 7
    assert torch.equal(measured.into(LOGITS), before)


def test_many_senders_are_measured_and_learned_a_few_at_a_time() -> None:
    model, learned = LayeredModel.of(deeper_model(10)), []
    measured = measuring(Activations(model, ragged_pairs(2), logit_diff), learned)
    measured.into(LOGITS)
    assert [len(senders) for _, senders, _ in learned] == [SENDERS_TOGETHER, 40 - SENDERS_TOGETHER]
    assert [s for _, senders, _ in learned for s in senders] == list(all_heads(10, N_HEADS))


def test_memory_changes_no_number(activations, learned) -> None:
    whole, split = (measuring(activations, learned, memory_bytes=n) for n in (1 << 30, 1))
    for receiver in (KEY, LOGITS):
        torch.testing.assert_close(split.into(receiver), whole.into(receiver), rtol=0, atol=2e-5)


def test_equal_metrics_are_refused(llama, pairs, learned) -> None:
    activations = Activations(LayeredModel.of(llama), pairs, lambda logits, _: logits[..., 0] * 0)
    with pytest.raises(NoEffectError, match="clean minus corrupted metric is 0"):
        measuring(activations, learned).into(LOGITS)
    assert learned == []
