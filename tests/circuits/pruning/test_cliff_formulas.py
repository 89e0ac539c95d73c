"""The four rules against their formulas, and against those of APP's code where the two agree.

APP's code: github.com/Frau-Ke/AcceleratedPathPatching, commit 0177bd7, Pruning/FLAP/lib/FLAP.py,
`first_cliff` and `biggest_cliff`; docs/pruning.md lists what is different here, and why.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from circuits.pruning import find_cliff

Curve = Sequence[float]
whole = st.lists(st.integers(-20, 120).map(float), min_size=2, max_size=60)
plateaus = st.lists(
    st.tuples(st.sampled_from([100.0, 95.0, 88.0, 70.0, 20.0, 0.0]), st.integers(1, 12)),
    min_size=1,
    max_size=5,
).map(lambda parts: [height for height, width in parts for _ in range(width)])
curves = whole | plateaus


def window(curve: Curve) -> int:
    """A tenth of the points."""
    return max(1, round(len(curve) / 10))


def smoothed(curve: Curve) -> list[float]:
    """The mean of each point and those before it, a window in all."""
    w = window(curve)
    parts = [curve[max(0, i - w + 1) : i + 1] for i in range(len(curve))]
    return [sum(part) / len(part) for part in parts]


def first(curve: Curve) -> int:
    """min {j : exists i < j <= i + w, i least, p_i - p_j >= R / 10} - 1."""
    w, least = window(curve), (max(curve) - min(curve)) / 10
    pairs = [
        (i, j)
        for i in range(len(curve))
        for j in range(i + 1, min(i + w, len(curve) - 1) + 1)
        if least > 0 and curve[i] - curve[j] >= least
    ]
    return min(pairs)[1] - 1 if pairs else len(curve) - 1


def biggest(curve: Curve) -> int:
    """D_i = p_i - min p_j over i < j <= i + w; min {j : p_i - p_j >= D_i, D_i largest} - 1."""
    w, least = window(curve), (max(curve) - min(curve)) / 10
    drops = [curve[i] - min(curve[i + 1 : i + 1 + w]) for i in range(len(curve) - 1)]
    if least == 0 or max(drops) < least:
        return len(curve) - 1
    i = drops.index(max(drops))
    return next(j for j in range(i + 1, len(curve)) if curve[i] - curve[j] >= drops[i]) - 1


def away_from_ties(curve: Curve) -> bool:
    """Whether no drop is a tenth of the range but for rounding, where means are not whole."""
    least = (max(curve) - min(curve)) / 10
    drops = {a - b for a in curve for b in curve if a > b}
    return all(abs(drop - least) > 1e-9 for drop in drops) and all(
        abs(a - b) > 1e-9 for a in drops for b in drops if a != b
    )


class TestFormulas:
    @given(curves)
    def test_first(self, curve: list[float]) -> None:
        assert find_cliff(curve, "first") == first(curve)

    @given(curves)
    def test_biggest(self, curve: list[float]) -> None:
        assert find_cliff(curve, "biggest") == biggest(curve)

    @given(curves)
    def test_smooth_first(self, curve: list[float]) -> None:
        means = smoothed(curve)
        assume(away_from_ties(means))
        assert find_cliff(curve, "smooth-first") == first(means)

    @given(curves)
    def test_smooth_biggest(self, curve: list[float]) -> None:
        means = smoothed(curve)
        assume(away_from_ties(means))
        assert find_cliff(curve, "smooth-biggest") == biggest(means)


def published_first(curve: Curve, limit: float) -> int | None:
    """The first i that differs by the limit from the least of the next w - 1 points.

    From there on to the first single step as large as that within w steps, if there is one. None:
    no drop, and its code cuts at 75 % sparsity.
    """
    w = window(curve)
    for i in range(len(curve) - w):
        if abs(curve[i] - min(curve[i + 1 : i + w])) >= limit:
            falls = [curve[j] - curve[j + 1] >= limit for j in range(i, i + w)]
            return i + (falls.index(True) if True in falls else 0)
    return None


def published_biggest(curve: Curve, limit: float) -> int:
    """The i that differs most from the least of the next w - 1 points, and then the last in line.

    That is the one before the first of the next w - 1 whose own difference is less by the limit.
    """
    w = window(curve)
    drops = [abs(curve[i] - min(curve[i + 1 : i + w])) for i in range(len(curve) - w)]
    i = drops.index(max(drops))
    less = [max(drops) - drop >= limit for drop in drops[i : i + w]]
    return i + (less.index(True) - 1 if True in less else 0)


def limit_of(curve: Curve) -> float:
    """A tenth of the range, before any smoothing."""
    return (max(curve) - min(curve)) / 10


class TestAgainstTheCode:
    @pytest.mark.parametrize("n_high", range(1, 35))
    def test_the_same_at_a_single_step(self, n_high: int) -> None:
        """Wherever it is in a curve of 40 points, but for the last windows."""
        curve = [100.0] * n_high + [10.0] * (40 - n_high)
        assert find_cliff(curve, "first") == published_first(curve, limit_of(curve)) == n_high - 1
        assert find_cliff(curve, "biggest") == published_biggest(curve, limit_of(curve))

    def test_the_same_at_the_first_of_two_steps_and_at_the_bigger(self) -> None:
        curve = [100.0] * 10 + [80.0] * 10 + [5.0] * 20
        assert find_cliff(curve, "first") == published_first(curve, limit_of(curve)) == 9
        assert find_cliff(curve, "biggest") == published_biggest(curve, limit_of(curve)) == 19

    def test_its_windows_are_a_point_shorter(self) -> None:
        """Three points a step: 12 in four steps, which are in a window here."""
        curve = [100.0] * 10 + [97.0, 94.0, 91.0, 88.0] + [88.0] * 16 + [0.0] * 10
        assert find_cliff(curve, "first") == 12
        assert published_first(curve, limit_of(curve)) == 29

    def test_a_slope_is_cut_at_its_top_there_and_before_a_tenth_is_lost_here(self) -> None:
        line = [100.0 - 5 * i for i in range(21)] + [0.0] * 19
        assert published_first(line, limit_of(line)) == 0
        assert find_cliff(line, "first") == 1

    def test_a_rise_is_a_drop_there(self) -> None:
        curve = [50.0] * 10 + [100.0] * 15 + [0.0] * 15
        assert published_first(curve, limit_of(curve)) == 9
        assert find_cliff(curve, "first") == 24

    def test_without_a_drop_it_takes_another_sparsity(self) -> None:
        rising = [60.0 + i / 4 for i in range(40)]
        assert published_first(rising, limit_of(rising)) is None
        assert find_cliff(rising, "first") == 39

    def test_what_smoothing_leaves_of_the_range_is_the_measure_here(self) -> None:
        """One outlier makes the range of the curve; the mean over four points has less of it."""
        curve = [100.0] * 10 + [92.0] * 25 + [0.0] + [92.0] * 4
        means = smoothed(curve)
        assert published_first(means, limit_of(curve)) == 34
        assert find_cliff(curve, "smooth-first") == 10
