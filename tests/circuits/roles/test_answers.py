"""Attention to answers and direct logit attribution, against hooks."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from circuits.components import Head, all_heads
from circuits.forward import LayeredModel
from circuits.metrics import logit_diff
from circuits.roles import read_answers
from circuits.tasks import PromptPairs
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES, N_HEADS, N_LAYERS
from tests.circuits.roles.slow_twin import attention, direct_effect

HEADS = all_heads(N_LAYERS, N_HEADS)


@pytest.fixture(scope="module")
def answered(pairs) -> PromptPairs:
    """Pairs of which some name their answers in the prompt, once or twice, or behind its end."""
    correct, wrong, clean = pairs.correct.clone(), pairs.wrong.clone(), pairs.clean.clone()
    clean[0, 4] = clean[0, 1]
    correct[0, 0] = clean[0, 1]
    wrong[0, 0] = clean[0, 2]
    correct[2, 0] = clean[2, 3]
    wrong[3, 1] = clean[3, 5]
    clean[4, -1] = wrong[4, 0]
    return replace(pairs, clean=clean, correct=correct, wrong=wrong)


def looped(bridge, pairs, answers, head: Head) -> float:
    """Attention to answers, prompt by prompt and token by token."""
    seen = []
    for row in range(len(pairs)):
        end, wanted = int(pairs.end[row]), set(answers[row].tolist()) - {-1}
        pattern = attention(bridge, pairs.clean[row, : end + 1], head)
        places = [key for key in range(end + 1) if int(pairs.clean[row, key]) in wanted]
        if places:
            seen.append(sum(pattern[end][key] for key in places))
    assert 0 < len(seen) < len(pairs)
    return sum(seen) / len(seen)


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_to_answers(family, answered):
    bridge = shared_model(family)
    found, _ = read_answers(LayeredModel.of(bridge), answered)
    for head in HEADS[::3]:
        place = head.layer, head.index
        for name in ("correct", "wrong"):
            theirs = looped(bridge, answered, getattr(answered, name), head)
            assert getattr(found, name)[place].item() == pytest.approx(theirs, abs=1e-5)


def test_no_answer_in_any_prompt_is_no_number(attention_only, pairs):
    answers = torch.full_like(pairs.wrong, 77).where(pairs.wrong >= 0, -1)
    clean = pairs.clean.where(pairs.clean != 77, 78)
    found, _ = read_answers(
        LayeredModel.of(attention_only), replace(pairs, clean=clean, wrong=answers)
    )
    assert bool(found.wrong.isnan().all())


@pytest.mark.parametrize("family", FAMILIES)
def test_direct_effects(family, pairs):
    bridge = shared_model(family)
    _, found = read_answers(LayeredModel.of(bridge), pairs)
    assert found.heads.shape == (len(pairs), N_LAYERS, N_HEADS)
    assert float(found.heads.abs().min()) > 0
    for row, head in zip([0, 1, 2, 3, 4], HEADS[2::2], strict=True):
        theirs = direct_effect(bridge, pairs, row, head)
        assert found.heads[row, head.layer, head.index].item() == pytest.approx(theirs, abs=2e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_whole_that_heads_are_a_part_of(family, pairs):
    bridge = shared_model(family)
    with torch.no_grad():
        logits = bridge(pairs.clean)[torch.arange(len(pairs)), pairs.end]
    _, found = read_answers(LayeredModel.of(bridge), pairs)
    torch.testing.assert_close(found.logit_diff, logit_diff(logits, pairs), atol=1e-5, rtol=1e-4)


def test_many_prompts_in_batches(llama, pairs):
    model = LayeredModel.of(llama)
    many = pairs[torch.arange(40) % len(pairs)]
    (_, few), (_, more) = read_answers(model, pairs), read_answers(model, many)
    torch.testing.assert_close(more.heads[35:], few.heads)
    assert not math.isnan(float(more.heads.sum()))
