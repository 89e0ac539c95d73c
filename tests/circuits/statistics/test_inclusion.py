"""How often random and planted sets have their parts, against enumeration and simulation."""

from __future__ import annotations

import random
from itertools import product
from math import comb, prod

import numpy as np
import pytest

from circuits.errors import InputError, SettingError
from circuits.statistics import InclusionRule, Inclusions, proportion
from circuits.statistics.inclusion import chance_p_values, least_count


@pytest.mark.parametrize("n", [1, 4, 10, 20])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_interval_holds_every_share_as_often_as_it_says(n: int, confidence: float) -> None:
    ends = [proportion(count, n, confidence) for count in range(n + 1)]
    for share in np.linspace(0.0, 1.0, 101):
        holds = [one.low <= share <= one.high for one in ends]
        weights = [comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]
        assert np.dot(holds, weights) >= confidence - 1e-12
    assert ends[0].low == 0
    assert ends[-1].high == 1


def test_chance_is_that_of_unlike_coins() -> None:
    shares = [0.1, 0.5, 0.25, 0.9]
    for least, p_value in enumerate(chance_p_values(shares)):
        every = product((False, True), repeat=4)
        exact = sum(
            prod(share if heads else 1 - share for share, heads in zip(shares, coins, strict=True))
            for coins in every
            if sum(coins) >= least
        )
        assert p_value == pytest.approx(exact)


def test_a_far_tail_is_no_rounding() -> None:
    assert chance_p_values([1e-4] * 10)[10] == pytest.approx(1e-40)


class TestKinds:
    def test_by_hand(self) -> None:
        sets = [frozenset({"a", "b", f"only {seed}"}) for seed in range(19)] + [frozenset({"b"})]
        found = Inclusions.of(sets, 1000)
        assert found.sizes == (3,) * 19 + (1,)
        kinds = {row.item: (row.count, row.kind) for row in found.rows}
        assert list(kinds)[:2] == ["b", "a"]
        assert kinds["b"] == (20, "core")
        assert kinds["a"] == (19, "core"), "95 % of twenty"
        assert kinds["only 0"] == (1, "noise")
        assert found.counts == {"core": 2, "contingent": 0, "noise": 19}
        assert found.of_kind("core") == found.at_least(0.95) == {"a", "b"}
        assert found.rows[1].share.value == 0.95

    def test_the_bound_of_core_is_a_setting(self) -> None:
        sets = [frozenset({"a"})] * 8 + [frozenset[str]()] * 2
        kinds = [Inclusions.of(sets, 100, InclusionRule(core=c)).rows[0].kind for c in (0.8, 0.9)]
        assert kinds == ["core", "contingent"]

    def test_what_nearly_any_set_has_is_noise_however_often_it_is_there(self) -> None:
        sets = [frozenset(range(9)), frozenset(range(10))]
        assert Inclusions.of(sets, 10).counts == {"core": 0, "contingent": 0, "noise": 10}

    def test_what_no_set_has_is_tested_too(self) -> None:
        """Of ten possible parts p = 0.01 is enough, of a thousand that are as rare it is not."""
        sets = [frozenset({"a"}), frozenset({"a"})]
        assert Inclusions.of(sets, 10).rows[0].p_value == pytest.approx(0.01)
        strict = InclusionRule(false_discovery_rate=0.05)
        assert Inclusions.of(sets, 10, strict).rows[0].kind == "noise"
        assert Inclusions.of(sets, 1000, strict).rows[0].kind == "core"

    def test_of_random_sets_little_is_called_anything_but_noise(self) -> None:
        draw, wrong = random.Random(0), 0
        for _ in range(100):
            sets = [frozenset(draw.sample(range(200), size)) for size in (10, 12, 8, 15, 10, 9)]
            counts = Inclusions.of(sets, 200).counts
            wrong += counts["core"] + counts["contingent"] > 0
        assert wrong / 100 <= 0.05 + 0.04

    def test_what_is_planted_among_random_parts_is_found_and_little_else(self) -> None:
        draw, shares, n_found = random.Random(1), [], 0
        planted = frozenset(range(12))
        for _ in range(40):
            sets = [
                frozenset(p for p in planted if draw.random() < 0.7)
                | frozenset(draw.sample(range(12, 300), 20))
                for _ in range(8)
            ]
            found = Inclusions.of(sets, 300)
            called = found.of_kind("core") | found.of_kind("contingent")
            n_found += len(called & planted)
            shares.append(len(called - planted) / max(1, len(called)))
        assert np.mean(shares) <= 0.05
        assert n_found / (40 * 12) > 0.8


def test_so_many_that_it_is_at_least_a_share() -> None:
    for n in range(1, 40):
        for share in (0.05, 0.25, 0.5, 0.75, 0.95, 1.0):
            count = least_count(share, n)
            assert count == min(k for k in range(1, n + 1) if k / n >= share - 1e-12)


@pytest.mark.parametrize(
    ("sets", "n_possible"),
    [([], 10), ([frozenset("ab")], 1), ([frozenset("a"), frozenset("b")], 1)],
)
def test_what_cannot_be_counted_is_refused(sets, n_possible: int) -> None:
    with pytest.raises(InputError, match="of parts that are possible; got"):
        Inclusions.of(sets, n_possible)


@pytest.mark.parametrize("settings", [{"core": 0.0}, {"consensus": 1.5}, {"confidence": 1.0}])
def test_settings_out_of_range(settings) -> None:
    with pytest.raises(SettingError, match="must be"):
        InclusionRule(**settings)
