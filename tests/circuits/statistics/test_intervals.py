"""Intervals against formulas and against their own definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.statistics import Bootstrap, Estimate


def mean_of(*means):
    return means[0]


def metrics(*rows):
    return np.array(rows, dtype=float)


def test_prints_with_its_interval() -> None:
    assert f"{Estimate(93.74, 90.08, 96.2):.1f}" == "93.7 [90.1, 96.2]"


def test_values_are_those_of_all_prompts() -> None:
    runs = metrics([1, 2, 3, 6], [2, 2, 2, 2])
    ratio, other = Bootstrap().estimates(lambda m: np.stack([m[0] / m[1], m[1]]), runs)
    assert ratio.value == 1.5
    assert ratio.low < 1.5 < ratio.high
    assert other == Estimate(2.0, 2.0, 2.0)


def test_as_wide_as_theory_has_it() -> None:
    """For the mean of many normal numbers: 1.96 standard errors to each side."""
    drawn = np.random.default_rng(0).normal(size=(1, 400))
    found = Bootstrap(0.95, 4000).estimates(mean_of, drawn)[0]
    error = drawn.std() / math.sqrt(400)
    assert found.value - found.low == pytest.approx(1.96 * error, rel=0.08)
    assert found.high - found.value == pytest.approx(1.96 * error, rel=0.08)


def test_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    found = [
        Bootstrap(0.8, 300).estimates(mean_of, random.normal(size=(1, 40)))[0] for _ in range(200)
    ]
    assert 0.7 < np.mean([each.low < 0 < each.high for each in found]) < 0.88


def test_prompts_are_resampled_with_all_their_runs() -> None:
    """The share is the same for every prompt, so resampling cannot change it."""
    full = metrics([1, 5, 9, 2])
    half = Bootstrap().estimates(lambda m: m[1:] / m[0], np.concatenate([full, full / 2]))[0]
    assert half.value == pytest.approx(0.5)
    assert half.low == pytest.approx(0.5) and half.high == pytest.approx(0.5)


def test_sets_of_prompts_are_resampled_apart() -> None:
    """The difference of a set and itself varies twice as much as the set."""
    drawn = np.random.default_rng(0).normal(size=(1, 200))
    alone = Bootstrap().estimates(mean_of, drawn)[0]
    between = Bootstrap().estimates(lambda here, there: here - there, drawn, drawn)[0]
    assert between.value == 0
    ratio = (between.high - between.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(math.sqrt(2), rel=0.1)


def test_sets_of_different_sizes() -> None:
    small, large = metrics([1.0, 2.0]), metrics([3.0] * 7)
    found = Bootstrap().estimates(lambda a, b: b - a, small, large)[0]
    assert found == Estimate(1.5, 1.0, 2.0)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.floats(-9, 9), min_size=2, max_size=12),
    st.sampled_from([0.5, 0.9, 0.99]),
)
def test_lies_within_the_prompts_and_widens_with_confidence(values, confidence) -> None:
    found = Bootstrap(confidence, 200).estimates(mean_of, metrics(values))[0]
    narrow = Bootstrap(confidence / 2, 200).estimates(mean_of, metrics(values))[0]
    low, high = min(values) - 1e-9, max(values) + 1e-9
    assert low <= found.low <= narrow.low + 1e-12
    assert narrow.high - 1e-12 <= found.high <= high


def test_the_same_seed_gives_the_same() -> None:
    drawn = np.random.default_rng(0).normal(size=(1, 20))
    first, again, other = (
        Bootstrap(seed=seed, n_resamples=99).estimates(mean_of, drawn) for seed in (0, 0, 1)
    )
    assert first == again != other


def test_one_prompt_has_no_interval() -> None:
    found = Bootstrap().estimates(mean_of, metrics([3.0]))[0]
    assert found.value == 3
    assert math.isnan(found.low) and math.isnan(found.high)


def test_a_share_of_nothing_is_no_number() -> None:
    """Warnings are errors here, so none may be given."""
    runs = metrics([1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
    found = Bootstrap().estimates(lambda m: (m[0] - 1) / m[1:], runs)[0]
    assert all(math.isnan(part) for part in (found.value, found.low, found.high))
