"""How figures spread, against scipy and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from circuits.statistics.distribution import Distribution, outliers

NAN = math.nan


def of(*values: float, more_is_better: bool = True) -> Distribution:
    return Distribution(dict(enumerate(values)), more_is_better)


def test_mean_spread_and_ends() -> None:
    found = of(2.0, NAN, 4.0, 9.0)
    assert found.mean == 5.0
    assert found.sd == pytest.approx(np.std([2, 4, 9], ddof=1))
    assert (found.best, found.worst) == ((3, 9.0), (0, 2.0))
    smaller = of(2.0, NAN, 4.0, 9.0, more_is_better=False)
    assert (smaller.best, smaller.worst) == ((0, 2.0), (3, 9.0))


def test_nothing_is_known_of_nothing() -> None:
    found = of(NAN, NAN)
    assert math.isnan(found.mean)
    assert math.isnan(of(1.0).sd)
    assert (found.best, found.worst) == (None, None)
    assert sum(found.histogram.counts) == 0
    assert outliers({"size": found}, reported=0) == []


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_every_value_is_in_the_histogram_once(values: list[float]) -> None:
    found = of(*values).histogram
    assert sum(found.counts) == len(values)
    assert len(found.edges) == len(found.counts) + 1
    assert found.edges[0] <= min(values)
    assert found.edges[-1] >= max(values)


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=4, max_size=12, unique=True), st.floats(0.5, 0.99))
def test_a_value_is_outside_just_when_its_studentised_residual_says_so(
    values: list[float], confidence: float
) -> None:
    """The residual by least squares: of the seed alone, with the others' variance."""
    first, others = values[0], np.array(values[1:])
    residual = (first - others.mean()) / (others.std(ddof=1) * math.sqrt(1 + 1 / len(others)))
    p_value = 2 * stats.t.sf(abs(residual), len(others) - 1)
    low, high = of(*values).expected(0, confidence)
    if abs(p_value - (1 - confidence)) > 1e-5:
        assert (low <= first <= high) == (p_value > 1 - confidence)


def test_expected_needs_two_others_and_takes_equals_for_equal() -> None:
    assert of(1.0, 2.0).expected(0, 0.95) == (-math.inf, math.inf)
    assert outliers({"size": of(*[0.1] * 9)}, reported=0) == []
    (odd,) = outliers({"size": of(0.2, *[0.1] * 9)}, reported=0)
    assert (odd.figure, odd.seed, odd.value) == ("size", 0, 0.2)


def test_the_reported_seed_is_told_first_and_sooner() -> None:
    values = [0.0, 1.0, -1.0, 0.5, -0.5, 0.8, -0.8, 0.2, -0.2, 2.4]
    assert [o.seed for o in outliers({"size": of(*values)}, reported=9)] == [9]
    assert outliers({"size": of(*values)}, reported=0) == [], "one of ten may lie so far out"
    values[9] = 9.0
    assert [o.seed for o in outliers({"size": of(*values)}, reported=0)] == [9]
    values[0] = -40.0
    both = outliers({"size": of(*values), "other": of(*values)}, reported=0)
    assert {o.seed for o in both[:2]} == {0}


def test_false_alarms_are_as_rare_as_the_level_says() -> None:
    draw = np.random.default_rng(0)
    reported, others, n = 0, 0, 1500
    for row in draw.normal(size=(n, 8)):
        found = {o.seed for o in outliers({"size": of(*row)}, reported=3, level=0.05)}
        reported += 3 in found
        others += bool(found - {3})
    assert 0.035 < reported / n < 0.065
    assert 0.025 < others / n < 0.06
