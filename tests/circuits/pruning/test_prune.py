from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import get_args

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from circuits.components import Head, all_heads
from circuits.pruning import (
    CliffRule,
    Pruning,
    PruningRule,
    find_cliff,
    keep_best,
    merged_candidates,
    prune,
    sparsities_of,
)
from circuits.runtime.progress import Progress

RULES = get_args(CliffRule)
SWEPT = [rule for rule in RULES if rule not in ("fixed", "share")]
NO_DROP = [100.0] * 40
STEP = [100.0] * 25 + [10.0] * 15
curves = st.lists(st.floats(-50, 150), min_size=1, max_size=50)
steps = st.lists(
    st.tuples(st.sampled_from([100.0, 95.0, 88.0, 70.0, 20.0, 0.0]), st.integers(1, 12)),
    min_size=1,
    max_size=5,
).map(lambda plateaus: [height for height, width in plateaus for _ in range(width)])
"""Plateaus, as real curves have them."""


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
        kept = [
            keep_best(torch.tensor(values).view(3, 4), s)
            for s in sparsities_of(PruningRule(), SCORES)
        ]
        assert all(later <= earlier for earlier, later in pairwise(kept))


SCORES = torch.arange(12.0).view(3, 4)


class TestSparsities:
    def test_sweeps_60_to_99_percent(self) -> None:
        assert sparsities_of(PruningRule(), SCORES) == tuple(i / 100 for i in range(60, 100))

    def test_fixed_is_75_percent_without_a_wish(self) -> None:
        assert sparsities_of(PruningRule("fixed"), SCORES) == (0.75,)
        assert sparsities_of(PruningRule("fixed", fixed_sparsity=0.4), SCORES) == (0.4,)

    @pytest.mark.parametrize(("share", "n_kept"), [(0.4, 1), (0.55, 2), (0.8, 2), (0.81, 3)])
    def test_share_counts_score_above_0(self, share: float, n_kept: int) -> None:
        """5, 3, 1 and 1 of 10."""
        scores = torch.tensor([[5.0, -9.0, 1.0], [3.0, 1.0, -4.0]])
        (sparsity,) = sparsities_of(PruningRule("share", score_share=share), scores)
        assert len(keep_best(scores, sparsity)) == n_kept

    def test_share_of_nothing_keeps_every_head(self) -> None:
        assert sparsities_of(PruningRule("share"), -SCORES) == (0.0,)

    @given(st.lists(st.floats(0, 1, width=32), min_size=12, max_size=12), st.floats(0.01, 0.99))
    def test_share_keeps_enough_and_no_more(self, values, share: float) -> None:
        scores = torch.tensor(values).view(3, 4).double()
        (sparsity,) = sparsities_of(PruningRule("share", score_share=share), scores)
        held = sorted((scores[h.layer, h.index] for h in keep_best(scores, sparsity)), reverse=True)
        wanted = share * float(scores.sum())
        assert sum(held) >= wanted - 1e-9
        assert not scores.any() or sum(held[:-1]) < wanted + 1e-9

    @given(st.floats(0, 0.98), st.floats(0.001, 0.99), st.floats(0.01, 0.9))
    def test_sparsities_stay_within_their_bounds(self, lowest, width, step) -> None:
        highest = min(0.99, lowest + width)
        sparsities = sparsities_of(PruningRule("first", lowest, highest, step), SCORES)
        assert sparsities == tuple(sorted(sparsities))
        assert sparsities[0] == pytest.approx(lowest, abs=1e-6)
        assert sparsities[-1] <= highest + 1e-6
        assert sparsities[-1] > highest - step - 1e-6


class Swept:
    """Pruning 100 heads a percent at a time; performance follows a curve."""

    SCORES = torch.arange(100.0).view(10, 10)

    def __init__(self, curve: Sequence[float], cliff: CliffRule = "first", full_curve=False):
        self.curve, self.batches, self.heard = curve, [], []
        # A single point where the curve has one.
        highest = max(len(curve) - 1, 0.5) / 100
        self.rule = PruningRule(cliff, 0.0, highest, full_curve=full_curve)
        self.pruning = prune(self.SCORES, self.rule, self.performances, self.progress())

    def progress(self) -> Progress:
        return Progress(lambda _, fraction: self.heard.append(fraction), name="pruning")

    def performances(self, circuits, progress):
        self.batches.append([100 - len(heads) for heads in circuits])
        progress(0.5)
        progress(1.0)
        return [self.curve[100 - len(heads)] for heads in circuits]

    @property
    def points(self) -> list[int]:
        return [round(100 * sparsity) for sparsity in self.pruning.sparsities]

    @property
    def knows_the_range(self) -> bool:
        known = self.pruning.performances
        return (min(known), max(known)) == (min(self.curve), max(self.curve))


class TestPrune:
    def test_cuts_before_the_drop(self) -> None:
        """Performance needs the 20 best heads."""
        needed = keep_best(Swept.SCORES, 0.8)
        asked = []

        def performances(circuits, progress):
            asked.append(len(circuits))
            return [100.0 if needed <= heads else 5.0 for heads in circuits]

        pruning = prune(Swept.SCORES, PruningRule(full_curve=True), performances)
        assert pruning.candidates == needed
        assert pruning.sparsities[pruning.cut] == 0.80
        assert pruning.performance == 100.0
        assert asked == [40], "all sparsities in one call, so that they can be run together"
        assert pruning.performances == (100.0,) * 21 + (5.0,) * 19
        assert prune(Swept.SCORES, PruningRule(), performances).candidates == needed

    def test_fixed(self) -> None:
        rule = PruningRule("fixed")
        pruning = prune(Swept.SCORES, rule, lambda circuits, progress: [42.0] * len(circuits))
        assert pruning.candidates == keep_best(Swept.SCORES, 0.75)
        assert (pruning.cut, pruning.performance) == (0, 42.0)

    @pytest.mark.parametrize("rule", [rule for rule in SWEPT if rule != "first"])
    def test_other_rules_take_the_whole_curve_at_once(self, rule: CliffRule) -> None:
        swept = Swept(STEP, rule)
        assert swept.batches == [list(range(40))]
        assert swept.pruning.cut == find_cliff(STEP, rule)

    @settings(deadline=None)
    @given(curves, st.sampled_from(SWEPT))
    def test_the_full_curve(self, curve: list[float], rule: CliffRule) -> None:
        pruning = Swept(curve, rule, full_curve=True).pruning
        assert pruning.performances == tuple(curve)
        assert pruning.cut == find_cliff(curve, rule)


class TestStoppingAtTheFirstDrop:
    def test_an_early_drop(self) -> None:
        """The first start's window of 4, then one point in each of the windows above."""
        swept = Swept([100.0] * 3 + [60.0] * 36 + [0.0])
        assert swept.batches == [[0, 1, 2, 3, 4, 39], [7, 11, 15, 19, 23, 27, 31, 35]]
        assert swept.points == sorted(point for batch in swept.batches for point in batch)
        assert (swept.pruning.cut, len(swept.pruning.candidates)) == (2, 98)

    def test_without_a_drop_everything(self) -> None:
        for curve in (NO_DROP, [float(i) for i in range(40)], [0.0] * 39 + [1.0]):
            assert Swept(curve).points == list(range(40))
            assert Swept(curve).pruning.cut == 39

    def test_a_drop_that_is_none_against_the_sampled_range(self) -> None:
        """Between the ends 5 of 10; but performance rises to 100 behind it, then falls."""
        curve = [60.0] * 5 + [55.0] * 5 + [100.0] * 15 + [50.0] * 15
        swept = Swept(curve)
        assert swept.pruning.cut == find_cliff(curve, "first") == 4
        curve = [60.0] * 5 + [56.0] * 5 + [100.0] * 15 + [50.0] * 15
        swept = Swept(curve)
        assert swept.pruning.cut == find_cliff(curve, "first") == 24

    def test_the_points_left_out_may_widen_the_range(self) -> None:
        """What the rule gives up: 105 for one sparsity alone, in no sample."""
        curve = [100.0] * 5 + [90.0] * 8 + [105.0] + [20.0] * 25 + [0.0]
        swept = Swept(curve)
        assert 13 not in swept.points
        assert not swept.knows_the_range
        assert (swept.pruning.cut, find_cliff(curve, "first")) == (4, 13)

    @settings(deadline=None)
    @given(st.lists(st.floats(0, 100), max_size=58), st.booleans())
    def test_between_the_extremes_it_is_the_full_curves(self, inner, rising: bool) -> None:
        ends = (0.0, 100.0) if rising else (100.0, 0.0)
        curve = [ends[0], *inner, ends[1]]
        swept = Swept(curve)
        assert swept.knows_the_range
        assert len(swept.pruning.candidates) == 100 - find_cliff(curve, "first")

    @settings(deadline=None)
    @given(steps)
    def test_it_is_the_full_curves_unless_the_range_widens(self, curve: list[float]) -> None:
        swept = Swept(curve)
        assume(swept.knows_the_range)
        assert swept.pruning.cut == find_cliff(curve, "first")
        assert len(swept.pruning.candidates) == 100 - find_cliff(curve, "first")

    @settings(deadline=None)
    @given(st.one_of(curves, steps))
    def test_what_is_evaluated(self, curve: list[float]) -> None:
        swept = Swept(curve)
        points, cut = swept.points, swept.pruning.cut
        assert sorted(point for batch in swept.batches for point in batch) == points
        assert all(low < high for low, high in pairwise(points)), "each once"
        assert swept.pruning.performances == tuple(curve[point] for point in points)
        assert (points[0], points[-1]) == (0, len(curve) - 1)
        assert points[: cut + 2] == list(range(min(cut + 2, len(curve))))
        assert swept.pruning.candidates == keep_best(Swept.SCORES, cut / 100)
        window = max(1, round(len(curve) / 10))
        assert all(high - low <= window for low, high in pairwise(points))

    @settings(deadline=None)
    @given(st.one_of(curves, steps))
    def test_progress_rises_to_one(self, curve: list[float]) -> None:
        heard = Swept(curve).heard
        assert all(earlier <= later for earlier, later in pairwise(heard))
        assert heard[-1] == 1.0


class TestPruning:
    def test_json_round_trip(self) -> None:
        pruning = Pruning(frozenset({Head(1, 2), Head(0, 10)}), (0.6, 0.7), (99.5, 1 / 3), 1)
        adapter = TypeAdapter(Pruning)
        assert adapter.validate_json(adapter.dump_json(pruning)) == pruning


class TestMerged:
    def test_the_heads_that_any_pruning_keeps(self) -> None:
        kept = [{Head(0, 1), Head(1, 2)}, {Head(1, 2), Head(2, 3)}]
        prunings = {
            name: Pruning(frozenset(heads), (0.5,), (100.0,), 0)
            for name, heads in zip(("flap", "contrastive-flap"), kept, strict=True)
        }
        assert merged_candidates(prunings) == kept[0] | kept[1]

    def test_nothing_was_pruned(self) -> None:
        assert merged_candidates({}) is None
