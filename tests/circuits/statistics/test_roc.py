"""ROC curves against counting."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.errors import InputError
from circuits.statistics import roc_curve

items = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=30)


def split(pairs) -> tuple[np.ndarray, np.ndarray]:
    scores, positive = zip(*pairs, strict=True)
    return np.array(scores, dtype=float), np.array(positive)


@given(items)
def test_area_is_the_share_of_pairs_ranked_right(pairs) -> None:
    scores, positive = split(pairs)
    curve = roc_curve(scores, positive)
    inside, outside = scores[positive], scores[~positive]
    assert (curve.n_positive, curve.n_negative) == (len(inside), len(outside))
    if len(inside) and len(outside):
        right = (inside[:, None] > outside).mean() + (inside[:, None] == outside).mean() / 2
        assert curve.auc == pytest.approx(right)
    else:
        assert math.isnan(curve.auc)


@given(items)
def test_every_threshold_lies_on_the_curve(pairs) -> None:
    scores, positive = split(pairs)
    curve = roc_curve(scores, positive)
    if not (curve.n_positive and curve.n_negative):
        return
    across, up = curve.false_positive_rate, curve.true_positive_rate
    assert (across[0], up[0]) == (0, 0)
    assert (across[-1], up[-1]) == (1, 1)
    for threshold in np.unique(scores):
        at = (scores >= threshold)[~positive].mean(), (scores >= threshold)[positive].mean()
        pieces = zip(across[:-1], up[:-1], across[1:], up[1:], strict=True)
        assert any(_between(at, *piece) for piece in pieces)


def test_straight_pieces_have_no_points_between() -> None:
    curve = roc_curve(np.arange(100.0), np.arange(100) >= 60)
    assert curve.false_positive_rate.tolist() == [0, 0, 1]
    assert curve.true_positive_rate.tolist() == [0, 1, 1]
    assert curve.auc == 1


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="1 of 2 scores are not a number"):
        roc_curve(np.array([0.5, math.nan]), np.array([True, False]))


def _between(point, x0, y0, x1, y1) -> bool:
    """Whether a point lies on the line between two others."""
    x, y = point
    on_line = abs((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) < 1e-9
    return on_line and x0 - 1e-9 <= x <= x1 + 1e-9 and y0 - 1e-9 <= y <= y1 + 1e-9
