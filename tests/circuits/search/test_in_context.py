"""Thinning out on scores that depend on the company, with functions in the place of a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.components import Head
from circuits.errors import SettingError
from circuits.search.in_context import thinned

HEADS = [Head(layer, index) for layer in range(3) for index in range(4)]


def scored(values: list[float]) -> dict[Head, float]:
    return dict(zip(HEADS, values, strict=True))


@given(st.lists(st.floats(-5, 5), min_size=12, max_size=12), st.integers(1, 12))
def test_scores_that_no_company_changes_give_their_own_order(values, least) -> None:
    scores = scored(values)
    found = thinned(scores, lambda heads, _: [scores[head] for head in heads], least=least)
    assert [scores[head] for head in found] == sorted(values, reverse=True)
    assert sorted(found) == HEADS


@given(st.floats(0.05, 0.9), st.integers(1, 11))
def test_every_round_leaves_out_its_share_and_at_least_one(left_out, least) -> None:
    sizes = []

    def scores_among(heads, round_number):
        assert round_number == len(sizes)
        sizes.append(len(heads))
        return [1.0] * len(heads)

    thinned(scored([1.0] * 12), scores_among, least=least, left_out=left_out)
    for before, after in zip(sizes, [*sizes[1:], least], strict=True):
        assert after == max(least, min(before - 1, round(before * (1 - left_out))))


def test_what_matters_in_company_alone_is_kept() -> None:
    """Two heads that do nothing without each other, behind single ones of more first score."""
    pair = {HEADS[3], HEADS[9]}

    def scores_among(heads, _):
        together = pair <= set(heads)
        return [2.0 if together and head in pair else 0.1 for head in heads]

    first = scored([0.5] * 12) | dict.fromkeys(pair, 0.4)
    assert set(thinned(first, scores_among)[:2]) == pair
    alone = sorted(HEADS, key=lambda head: (-first[head], head))
    assert set(alone[-2:]) == pair, "scored once they come last"


def test_memory_holds_against_one_odd_round() -> None:
    good = HEADS[0]

    def scores_among(heads, round_number):
        return [(-0.5 if round_number == 1 else 1.0) if head == good else 0.1 for head in heads]

    first = scored([1.0] + [0.1] * 11)
    assert thinned(first, scores_among, memory=0.5)[0] == good
    assert thinned(first, scores_among, memory=0.0)[0] != good


def test_equal_scores_are_in_order() -> None:
    found = thinned(scored([1.0] * 12), lambda heads, _: [1.0] * len(heads))
    assert list(found) == HEADS


@pytest.mark.parametrize(
    "wrong", [{"least": 0}, {"left_out": 1.0}, {"left_out": 0.0}, {"memory": 1.0}]
)
def test_out_of_range(wrong) -> None:
    with pytest.raises(SettingError, match="least must be at least 1"):
        thinned(scored([1.0] * 12), lambda heads, _: [1.0] * len(heads), **wrong)
