"""Chance against random sets that are really drawn."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.circuit import Overlap
from circuits.errors import InputError
from circuits.statistics import Chance

FIGURES = ("precision", "recall", "f1", "iou")


@st.composite
def chances(draw) -> Chance:
    n_possible = draw(st.integers(1, 60))
    n_found = draw(st.integers(1, n_possible))
    n_reachable = draw(st.integers(0, n_possible))
    n_reference = draw(st.integers(max(1, n_reachable), 80))
    return Chance(n_found, n_reference, n_possible, n_reachable)


@given(chances())
def test_expected_precision_and_recall_are_the_hypergeometric_mean(chance: Chance) -> None:
    shared = chance.n_found * chance.n_reachable / chance.n_possible
    assert chance.precision.mean == pytest.approx(shared / chance.n_found)
    assert chance.recall.mean == pytest.approx(shared / chance.n_reference)
    assert chance.f1.mean == pytest.approx(2 * shared / (chance.n_found + chance.n_reference))


@given(chances(), st.sampled_from(FIGURES))
def test_intervals_hold_their_share_and_no_narrower_tail(chance: Chance, figure: str) -> None:
    spread = getattr(chance, figure)
    assert 0 <= spread.low <= spread.high <= 1
    fewest = max(0, chance.n_found + chance.n_reachable - chance.n_possible)
    counts = range(fewest, min(chance.n_found, chance.n_reachable) + 1)
    weight = {k: _exactly(chance, k) for k in counts}
    value = {k: _figure(chance, figure, k) for k in counts}
    assert sum(w for k, w in weight.items() if value[k] < spread.low - 1e-9) <= 0.025 + 1e-9
    assert sum(w for k, w in weight.items() if value[k] > spread.high + 1e-9) <= 0.025 + 1e-9
    assert sum(w for k, w in weight.items() if value[k] <= spread.low + 1e-9) >= 0.025 - 1e-9
    assert spread.mean == pytest.approx(sum(w * value[k] for k, w in weight.items()))


@given(chances())
def test_p_values_are_those_of_counting(chance: Chance) -> None:
    for shared in range(chance.n_found + 1):
        weight = sum(_exactly(chance, k) for k in range(shared, chance.n_found + 1))
        assert chance.p_value(shared) == pytest.approx(weight)


def test_agrees_with_random_draws() -> None:
    random, reference, n_draws = Random(0), frozenset(range(12)), 4000
    drawn = [Overlap.of(frozenset(random.sample(range(40), 9)), reference) for _ in range(n_draws)]
    chance = Chance.of(drawn[0], n_possible=40)
    for figure in FIGURES:
        values = sorted(getattr(overlap, figure) for overlap in drawn)
        spread = getattr(chance, figure)
        assert sum(values) / n_draws == pytest.approx(spread.mean, abs=0.01)
        assert values[int(0.025 * n_draws)] == pytest.approx(spread.low)
        assert values[int(0.975 * n_draws)] == pytest.approx(spread.high)


def test_of_an_overlap_counts_its_sets() -> None:
    overlap = Overlap.of(frozenset("abc"), frozenset("bcde"))
    assert Chance.of(overlap, 10) == Chance(3, 4, 10, 4)
    assert Chance.of(overlap, 10, 2) == Chance(3, 4, 10, 2)


def test_of_nothing_is_not_a_number() -> None:
    chance = Chance(0, 0, 5, 0)
    assert all(math.isnan(getattr(chance, figure).mean) for figure in FIGURES)
    assert chance.p_value(0) == 1


@pytest.mark.parametrize("sizes", [(6, 2, 5, 2), (2, 2, 5, 3), (2, 7, 5, 6), (-1, 2, 5, 2)])
def test_sets_that_do_not_fit_are_refused(sizes: tuple[int, int, int, int]) -> None:
    with pytest.raises(InputError, match="must fit into"):
        Chance(*sizes)


def _exactly(chance: Chance, shared: int) -> float:
    """How likely a random set has exactly this many members of the reference."""
    others = chance.n_possible - chance.n_reachable
    ways = math.comb(chance.n_reachable, shared) * math.comb(others, chance.n_found - shared)
    return ways / math.comb(chance.n_possible, chance.n_found)


def _figure(chance: Chance, figure: str, shared: int) -> float:
    found, reference = chance.n_found, chance.n_reference
    return {
        "precision": shared / found,
        "recall": shared / reference,
        "f1": 2 * shared / (found + reference),
        "iou": shared / (found + reference - shared),
    }[figure]
