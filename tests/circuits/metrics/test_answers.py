from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from circuits.metrics import METRICS, accuracy, logit_diff, prob_diff, top_1
from tests.circuits.prompts import ragged_pairs


@pytest.fixture
def two():
    """Answers 1 and 2 against 3; then 4 against 0 and 1, with padding in both sets."""
    return replace(
        ragged_pairs(2),
        correct=torch.tensor([[1, 2], [4, -1]]),
        wrong=torch.tensor([[3, -1], [0, 1]]),
    )


LOGITS = torch.tensor([[9.0, 1.0, 3.0, 5.0, -20.0], [1.0, 2.0, 50.0, 60.0, 2.5]])


def test_logit_diff_is_the_difference_of_means(two) -> None:
    assert logit_diff(LOGITS, two).tolist() == pytest.approx([(1 + 3) / 2 - 5, 2.5 - (1 + 2) / 2])


def test_prob_diff_is_the_difference_of_sums(two) -> None:
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.35, 0.05], [0.1, 0.2, 0.3, 0.1, 0.3]]))
    assert prob_diff(logits + 7, two).tolist() == pytest.approx([0.5 - 0.35, 0.3 - 0.3], abs=1e-6)


@pytest.mark.parametrize("metric", METRICS.all(), ids=METRICS.names())
def test_batches_of_logits(metric, two) -> None:
    more = torch.stack([LOGITS, LOGITS * 2, -LOGITS])
    each = torch.stack([metric(logits, two) for logits in more])
    assert torch.allclose(metric(more, two), each)
    assert torch.allclose(metric(more[None], two), each[None])


@pytest.mark.parametrize("metric", METRICS.all(), ids=METRICS.names())
def test_one_prompt_at_a_time(metric, two) -> None:
    alone = torch.cat([metric(LOGITS[i : i + 1], two[i : i + 1]) for i in range(2)])
    assert torch.allclose(metric(LOGITS, two), alone)


@pytest.mark.parametrize("metric", METRICS.all(), ids=METRICS.names())
def test_padding_is_no_answer(metric, two) -> None:
    """-1 must not be read as the last token of the vocabulary, nor as token 0."""
    other = LOGITS.clone()
    other[0, 4] = 3.0
    other[1, 3] = 40.0
    if metric is logit_diff:
        assert torch.equal(metric(other, two), metric(LOGITS, two))
    wider = replace(
        two,
        correct=torch.nn.functional.pad(two.correct, (0, 3), value=-1),
        wrong=torch.nn.functional.pad(two.wrong, (0, 1), value=-1),
    )
    assert torch.equal(metric(LOGITS, wider), metric(LOGITS, two))


def test_accuracy_is_among_the_answers(two) -> None:
    assert accuracy(LOGITS, two).tolist() == [False, True]
    better = LOGITS.clone()
    better[0, 2] = 5.5
    assert accuracy(better, two).tolist() == [True, True]
    tie = LOGITS.clone()
    tie[0, 2] = 5.0
    assert not accuracy(tie, two)[0]


def test_top_1_is_among_all_tokens(two) -> None:
    assert top_1(LOGITS, two).tolist() == [False, False]
    better = LOGITS.clone()
    better[0, 2] = 10.0
    better[1, 4] = 99.0
    assert top_1(better, two).tolist() == [True, True]


def test_negative_logits_of_the_only_answer(two) -> None:
    """The largest of one negative logit is that logit, not a padding's zero."""
    low = torch.full((2, 5), -5.0)
    low[1, 4] = -1.0
    assert accuracy(low, two).tolist() == [False, True]


def test_gradient_is_finite(two) -> None:
    for metric in METRICS.all():
        logits = LOGITS.clone().requires_grad_()
        metric(logits, two).sum().backward()
        assert logits.grad is not None
        assert all(math.isfinite(x) for x in logits.grad.flatten().tolist())
