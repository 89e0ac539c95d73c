"""Effects that workers find are those that one process finds."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from circuits.components import Head, Receiver
from circuits.forward import Activations, LayeredModel
from circuits.patching import ESTIMATORS, EdgeValues, MeasuredEffects, edge_sums
from circuits.patching import shared as module
from circuits.patching.plan import plan_work
from circuits.patching.shared import OnPrompts, shared_effects, shared_sums
from circuits.runtime.sharing import shared
from circuits.runtime.workers import Workers


@pytest.fixture
def sharing(tmp_path):
    with ThreadPoolExecutor(1) as pool, shared(Workers(pool), tmp_path) as one:
        yield one


@pytest.fixture
def activations(llama, pairs) -> Activations:
    return Activations(LayeredModel.of(llama), pairs)


@pytest.mark.parametrize("each", [1, 2, 4])
def test_a_sweep_in_parts_is_the_whole_sweep(sharing, activations, monkeypatch, each) -> None:
    monkeypatch.setattr(module, "PROMPTS_EACH", each)
    heads = activations.graph().heads
    plan = plan_work(activations.model, activations.pairs, heads)
    whole = edge_sums(activations, ESTIMATORS.get("sweep"), heads, plan)
    found, parts = shared_sums(OnPrompts.of(activations, "sweep", None), heads, sharing)
    assert len(parts) == -(-len(activations.pairs) // each) > 1
    assert found.is_whole
    assert found.scale == pytest.approx(whole.scale, rel=1e-5)
    for mine, theirs in ((found.changes, whole.changes), (found.remainders, whole.remainders)):
        torch.testing.assert_close(mine.values, theirs.values, equal_nan=True, rtol=1e-4, atol=1e-6)


def test_exact_effects_are_the_same_to_the_last_bit(sharing, activations, monkeypatch) -> None:
    monkeypatch.setattr("circuits.patching.measured.SENDERS_TOGETHER", 2)
    on, exact = OnPrompts.of(activations, "exact", None), ESTIMATORS.get("exact")
    asked = []

    def elsewhere(receiver, groups):
        asked.append(len(groups))
        return shared_effects(on, receiver, groups, sharing)

    alone, many = (
        MeasuredEffects(
            activations, exact, EdgeValues.unknown(activations.graph()), elsewhere=where
        )
        for where in (None, elsewhere)
    )
    for receiver in (Receiver.logits(), Receiver.parse("1.0.q")):
        expected = alone.into(receiver)
        assert torch.equal(many.into(receiver), expected)
        assert not expected.isnan().any()
    assert asked == [-(-len(activations.graph().heads) // 2), 2]
    assert not [*sharing.directory.iterdir()], "what is known elsewhere is not kept twice"


def test_few_senders_are_measured_here(activations) -> None:
    measured = MeasuredEffects(
        activations,
        ESTIMATORS.get("exact"),
        EdgeValues.unknown(activations.graph()),
        elsewhere=lambda receiver, groups: pytest.fail("asked others"),
    )
    measured.into(Receiver.logits(), [Head(0, 0)])


def test_a_part_can_be_sent(activations) -> None:
    on = OnPrompts.of(activations, "sweep", None)
    assert pickle.loads(pickle.dumps(on)).key == on.key
