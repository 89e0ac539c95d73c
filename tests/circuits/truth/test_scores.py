from __future__ import annotations

import math
from itertools import product

import pytest
import torch

from circuits import Head, Receiver
from circuits.patching import EffectTable
from circuits.truth import auc, head_strengths


def test_auc_by_counting() -> None:
    draw = torch.Generator().manual_seed(1)
    # Few distinct values, so that there are ties.
    scores = torch.randint(4, (3, 5), generator=draw).double()
    true_heads = frozenset({Head(0, 1), Head(1, 4), Head(2, 0)})
    true = [scores[head.layer, head.index] for head in true_heads]
    other = [
        scores[layer, index]
        for layer, index in product(range(3), range(5))
        if Head(layer, index) not in true_heads
    ]
    won = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(true, other))
    assert auc(scores, true_heads) == pytest.approx(won / (len(true) * len(other)))
    assert 0.0 < won / (len(true) * len(other)) < 1.0


def test_auc_of_extremes() -> None:
    scores = torch.tensor([[3.0, 1.0, 2.0]])
    assert auc(scores, frozenset({Head(0, 0)})) == 1.0
    assert auc(scores, frozenset({Head(0, 1)})) == 0.0
    assert auc(torch.zeros(1, 3), frozenset({Head(0, 1)})) == 0.5
    assert math.isnan(auc(scores, frozenset()))
    assert math.isnan(auc(scores, frozenset(Head(0, index) for index in range(3))))


def test_strength_is_the_largest_effect_of_any_path() -> None:
    to_logits = torch.tensor([[0.1, 0.0], [-0.3, 0.2]])
    to_query = torch.tensor([[-0.4, 0.05], [torch.nan, torch.nan]])
    effects = EffectTable.of_receivers(
        {Receiver.logits(): to_logits, Receiver(Head(1, 1), "q"): to_query}, 2, 2, 2
    )
    expected = torch.tensor([[0.4, 0.05], [0.3, 0.2]]).double()
    torch.testing.assert_close(head_strengths(effects, {}), expected)
    nothing = EffectTable.of_receivers({}, 2, 2, 2)
    torch.testing.assert_close(head_strengths(nothing, {}), torch.zeros(2, 2).double())


def test_better_score_of_merged_prunings_counts() -> None:
    scores = {"flap": torch.tensor([[1.0, -2.0]]), "contrastive-flap": torch.tensor([[0.0, 3.0]])}
    torch.testing.assert_close(head_strengths(None, scores), torch.tensor([[1.0, 3.0]]).double())
