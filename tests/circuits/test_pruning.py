from __future__ import annotations

import math
from itertools import pairwise
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from circuits.components import Head, all_heads
from circuits.pruning import CliffRule, Pruning, PruningRule, find_cliff, keep_best, prune

RULES = get_args(CliffRule)
SWEPT = [rule for rule in RULES if rule != "fixed"]
NO_DROP = [100.0] * 40
STEP = [100.0] * 25 + [10.0] * 15
curves = st.lists(st.floats(-50, 150), min_size=1, max_size=50)


class TestCliff:
    @pytest.mark.parametrize("rule", SWEPT)
    def test_without_a_drop_the_last_point(self, rule: CliffRule) -> None:
        assert find_cliff(NO_DROP, rule) == 39
        assert find_cliff([float(i) for i in range(40)], rule) == 39

    @pytest.mark.parametrize("rule", ["first", "biggest"])
    def test_one_step(self, rule: CliffRule) -> None:
        assert find_cliff(STEP, rule) == 24

    @pytest.mark.parametrize("rule", ["smooth-first", "smooth-biggest"])
    def test_one_step_smoothed(self, rule: CliffRule) -> None:
        """The average over 4 points falls from the first low point on."""
        assert 24 <= find_cliff(STEP, rule) <= 24 + 3

    def test_first_and_biggest_differ(self) -> None:
        curve = [100.0] * 10 + [80.0] * 10 + [5.0] * 20
        assert find_cliff(curve, "first") == 9
        assert find_cliff(curve, "biggest") == 19

    def test_first_needs_a_tenth_of_the_range(self) -> None:
        """A range of 100: a drop of 9 is none, one of 10 is."""
        small = [100.0] * 10 + [91.0] * 15 + [0.0] * 15
        assert find_cliff(small, "first") == 24
        enough = [100.0] * 10 + [90.0] * 15 + [0.0] * 15
        assert find_cliff(enough, "first") == 9

    def test_first_drop_may_take_a_whole_window(self) -> None:
        """3 points of fall at a time: after four of them it is 12 % of the range."""
        curve = [100.0] * 10 + [97.0, 94.0, 91.0, 88.0] + [88.0] * 16 + [0.0] * 10
        cut = find_cliff(curve, "first")
        assert curve[cut] > 90 >= curve[cut + 1] or cut == 12
        assert cut == 12, "the last point before performance has fallen by a tenth"

    def test_slower_than_the_window_is_no_cliff(self) -> None:
        """A point of fall at a time, 4 in a window of 4: never a tenth of the range of 100."""
        curve = [100.0 - i for i in range(40)] + [61.0] * 39
        curve += [0.0]
        assert find_cliff(curve, "biggest") == len(curve) - 2

    def test_noise_does_not_move_the_smoothed_cliff(self) -> None:
        noisy = list(STEP)
        noisy[5] = 80.0
        assert find_cliff(noisy, "first") == 4
        assert 24 <= find_cliff(noisy, "smooth-first") <= 27

    def test_a_steady_fall(self) -> None:
        """The very first window holds a tenth of a straight line's range."""
        line = [100.0 - 2.5 * i for i in range(40)]
        assert find_cliff(line, "first") == 3
        assert line[find_cliff(line, "first")] >= 90

    @given(curves, st.sampled_from(RULES))
    def test_is_a_point_of_the_curve(self, curve: list[float], rule: CliffRule) -> None:
        assert 0 <= find_cliff(curve, rule) < len(curve)

    @given(curves, st.sampled_from(["first", "biggest"]))
    def test_performance_falls_right_behind_it(self, curve: list[float], rule: CliffRule) -> None:
        cut = find_cliff(curve, rule)
        assert cut == len(curve) - 1 or curve[cut + 1] < max(curve[: cut + 1])

    @given(curves, st.sampled_from(SWEPT), st.integers(1, 8))
    def test_the_metrics_unit_does_not_matter(self, curve, rule: CliffRule, power: int) -> None:
        assert find_cliff([x * 2**power for x in curve], rule) == find_cliff(curve, rule)


class TestKeepBest:
    SCORES = torch.tensor([[0.1, 0.9, 0.3], [0.8, -5.0, 0.2]])

    @pytest.mark.parametrize(
        ("sparsity", "kept"),
        [
            (0.0, "0.0 0.1 0.2 1.0 1.1 1.2"),
            (0.5, "0.1 1.0 0.2"),
            (2 / 3, "0.1 1.0"),
            (0.99, "0.1"),
        ],
    )
    def test_of_the_whole_model(self, sparsity: float, kept: str) -> None:
        assert keep_best(self.SCORES, sparsity) == {Head.parse(name) for name in kept.split()}

    def test_ties_go_to_the_earlier_head(self) -> None:
        assert keep_best(torch.zeros(3, 4), 0.75) == {Head(0, 0), Head(0, 1), Head(0, 2)}

    @given(st.lists(st.floats(-1, 1, width=32), min_size=12, max_size=12), st.floats(0, 0.99))
    def test_as_many_as_the_sparsity_leaves_and_none_worse(self, values, sparsity: float) -> None:
        scores = torch.tensor(values).view(3, 4)
        kept = keep_best(scores, sparsity)
        assert len(kept) == max(1, round(12 * (1 - sparsity)))
        inside = [float(scores[head.layer, head.index]) for head in kept]
        outside = [float(scores[h.layer, h.index]) for h in all_heads(3, 4) if h not in kept]
        assert min(inside) >= max(outside, default=-math.inf)

    @given(st.lists(st.floats(-1, 1, width=32), min_size=12, max_size=12))
    def test_sparser_sets_are_subsets(self, values) -> None:
        kept = [keep_best(torch.tensor(values).view(3, 4), s) for s in PruningRule().sparsities]
        assert all(later <= earlier for earlier, later in pairwise(kept))


class TestRule:
    def test_sweeps_60_to_99_percent(self) -> None:
        assert PruningRule().sparsities == tuple(i / 100 for i in range(60, 100))

    def test_fixed_is_75_percent(self) -> None:
        assert PruningRule("fixed").sparsities == (0.75,)

    @given(st.floats(0, 0.98), st.floats(0.001, 0.99), st.floats(0.01, 0.9))
    def test_sparsities_stay_within_their_bounds(self, lowest, width, step) -> None:
        highest = min(0.99, lowest + width)
        sparsities = PruningRule("first", lowest, highest, step).sparsities
        assert sparsities == tuple(sorted(sparsities))
        assert sparsities[0] == pytest.approx(lowest, abs=1e-6)
        assert sparsities[-1] <= highest + 1e-6
        assert sparsities[-1] > highest - step - 1e-6

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"cliff": "steepest"}, "cliff"),
            ({"lowest_sparsity": -0.1}, "sparsities must satisfy"),
            ({"highest_sparsity": 1.0}, "sparsities must satisfy"),
            ({"lowest_sparsity": 0.9, "highest_sparsity": 0.7}, "got 0.9 and 0.7"),
            ({"step": 0.0}, "step must be between 0 and 1, got 0.0"),
            ({"step": float("nan")}, "step must be between"),
        ],
    )
    def test_nonsense(self, settings, message: str) -> None:
        with pytest.raises((ValueError, TypeError), match=message):
            PruningRule(**settings)


class TestPrune:
    SCORES = torch.arange(100.0).view(10, 10)

    def test_cuts_before_the_drop(self) -> None:
        """Performance needs the 20 best heads."""
        needed = keep_best(self.SCORES, 0.8)
        asked = []

        def performances(circuits):
            asked.append(len(circuits))
            return [100.0 if needed <= heads else 5.0 for heads in circuits]

        pruning = prune(self.SCORES, PruningRule(), performances)
        assert pruning.candidates == needed
        assert pruning.sparsities[pruning.cut] == 0.80
        assert pruning.performance == 100.0
        assert asked == [40], "all sparsities in one call, so that they can be run together"
        assert pruning.performances == (100.0,) * 21 + (5.0,) * 19

    def test_fixed(self) -> None:
        pruning = prune(self.SCORES, PruningRule("fixed"), lambda circuits: [42.0] * len(circuits))
        assert pruning.candidates == keep_best(self.SCORES, 0.75)
        assert (pruning.cut, pruning.performance) == (0, 42.0)

    def test_json_round_trip(self) -> None:
        pruning = Pruning(frozenset({Head(1, 2), Head(0, 10)}), (0.6, 0.7), (99.5, 1 / 3), 1)
        adapter = TypeAdapter(Pruning)
        assert adapter.validate_json(adapter.dump_json(pruning)) == pruning
