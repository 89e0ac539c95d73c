"""Which circuit of many is chosen, and which others can be taken."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from circuits.components import Head
from circuits.errors import InputError
from circuits.evaluation.sizes import SizeCurve, SizePoint
from circuits.statistics.intervals import Estimate


def point(size, surely, ranking="one", error=2.0) -> SizePoint:
    """A circuit that keeps a standard error more than it surely does."""
    heads, value = frozenset(Head(0, index) for index in range(size)), surely + error
    kept = Estimate(value, value - 2 * error, value + 2 * error)
    return SizePoint(ranking, heads, Estimate(1.0, 0.0, 2.0), Estimate(3.0, 2.0, 4.0), kept)


POINTS = [point(8, 99.0), point(2, 60.0), point(5, 88.0), point(4, 86.0, ranking="two")]
percents = st.floats(0, 120)


class TestTheChoice:
    def test_the_smallest_that_keeps_enough_whatever_proposed_it(self) -> None:
        curve = SizeCurve.of(POINTS, keep=85)
        assert curve.point == point(4, 86.0, ranking="two")
        assert curve.reaches
        assert [len(one) for one in curve.points] == [2, 4, 5, 8]

    def test_it_must_keep_it_with_a_standard_error_to_spare(self) -> None:
        lucky = point(3, 84.9, error=10.0)
        assert lucky.judged.value > 94
        assert len(SizeCurve.of([*POINTS, lucky], keep=85).point) == 4

    def test_or_with_several(self) -> None:
        strict = replace(point(3, 86.0, error=2.0), spare=1.6)
        assert strict.surely == pytest.approx(84.8)
        assert len(SizeCurve.of([*POINTS, strict], keep=85).point) == 4

    def test_of_one_size_the_one_that_keeps_more(self) -> None:
        better = point(4, 93.0, ranking="three")
        assert SizeCurve.of([*POINTS, better], keep=85).point == better

    def test_without_any_the_one_that_keeps_most(self) -> None:
        curve = SizeCurve.of(POINTS, keep=99.5)
        assert len(curve.point) == 8
        assert not curve.reaches

    @given(st.lists(st.tuples(st.integers(1, 9), percents), min_size=1), percents)
    def test_never_larger_than_any_that_would_do(self, rows, keep) -> None:
        points = [point(*row) for row in rows]
        curve = SizeCurve.of(points, keep)
        enough = [len(one) for one in points if one.surely >= keep]
        assert curve.reaches == bool(enough)
        if enough:
            assert len(curve.point) == min(enough) or 2 * len(curve.point) < min(enough)
            assert curve.point.keeps(keep, curve.margin)

    @pytest.mark.parametrize(("size", "chosen", "margin"), [(3, 3, 0.5), (4, 8, 1.0)])
    def test_half_the_margin_does_where_the_whole_one_more_than_doubles_it(
        self, size, chosen, margin
    ) -> None:
        hardly, surely = point(size, 84.5), point(8, 99.0)
        curve = SizeCurve.of([hardly, surely], keep=85)
        assert (len(curve.point), curve.margin, curve.reaches) == (chosen, margin, True)
        assert len(curve.at(keep=85)) == chosen


class TestOthers:
    curve = SizeCurve.of(POINTS, keep=85)

    @pytest.mark.parametrize(("keep", "size"), [(50, 2), (85.9, 4), (87, 5), (95, 8)])
    def test_by_what_it_keeps(self, keep, size) -> None:
        assert len(self.curve.at(keep=keep)) == size

    @pytest.mark.parametrize(("heads", "size"), [(2, 2), (3, 2), (7, 5), (100, 8)])
    def test_by_size(self, heads, size) -> None:
        assert len(self.curve.at(heads=heads)) == size

    def test_a_larger_one_that_keeps_less_is_not_taken(self) -> None:
        curve = SizeCurve.of([*POINTS, point(9, 70.0)], keep=85)
        assert len(curve.at(heads=9)) == 8
        assert [len(one) for one in curve.front] == [2, 4, 5, 8]

    def test_what_was_not_tried_is_refused(self) -> None:
        with pytest.raises(InputError, match=r"surely keeps 99.5 %: the most is 99.0 %"):
            self.curve.at(keep=99.5)
        with pytest.raises(InputError, match="at most 1 heads was tried: the smallest has 2"):
            self.curve.at(heads=1)

    @pytest.mark.parametrize("asked", [{}, {"keep": 90, "heads": 4}])
    def test_one_thing_is_asked_for(self, asked) -> None:
        with pytest.raises(InputError, match="give either keep"):
            self.curve.at(**asked)


def test_the_best_near_the_chosen_one_are_reported_on_other_prompts() -> None:
    curve = SizeCurve.of([*POINTS, point(1, 50.0), point(3, 40.0)], keep=85)
    asked = []

    def kept(points):
        asked.extend(points)
        return [Estimate(float(len(one)), 0.0, 99.0) for one in points]

    found = curve.with_held_out(kept, 32, most=2)
    assert [len(one) for one in asked] == [4, 5]
    reported = [one.held_out and one.held_out.value for one in found.points]
    assert reported == [None, None, None, 4.0, 5.0, None]
    assert found.n_held_out == 32
    assert len(found.at(keep=60)) == 4


def test_it_survives_json() -> None:
    curve, kind = SizeCurve.of(POINTS, keep=85), TypeAdapter(SizeCurve)
    assert kind.validate_json(kind.dump_json(curve)) == curve
