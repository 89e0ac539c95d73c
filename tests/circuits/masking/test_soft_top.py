"""Weights that add up to a size, and the way back through them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from circuits.masking.soft_top import climb, soft_top


@given(
    st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=30),
    st.floats(0.05, 2),
    st.data(),
)
def test_weights_add_up_and_keep_the_order(scores, temperature, data) -> None:
    n = data.draw(st.integers(1, len(scores) - 1))
    weights = soft_top(torch.tensor(scores), n, temperature)
    assert float(weights.sum()) == pytest.approx(n, abs=0.05)
    order = torch.tensor(scores).argsort(stable=True)
    assert weights[order].diff().ge(-1e-6).all()


def test_scores_move_along_the_slope_of_what_the_weights_are_worth() -> None:
    """By differences of the weights themselves, whose middle moves with every score."""
    scores = torch.tensor([0.3, -0.2, 0.9, 0.1], dtype=torch.float64)
    worth = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    expected = []
    for place in range(4):
        step = 1e-4 * torch.eye(4, dtype=torch.float64)[place]
        ends = [(worth * soft_top(scores + sign * step, 2, 0.7)).sum() for sign in (1, -1)]
        expected.append((ends[0] - ends[1]) / 2e-4)
    moved = scores.clone()
    optimizer = torch.optim.SGD([moved], lr=1.0, maximize=True)
    climb(moved, optimizer, [2], lambda weights, step: worth, 0.7)
    torch.testing.assert_close(moved - scores, torch.stack(expected), rtol=1e-3, atol=1e-5)
