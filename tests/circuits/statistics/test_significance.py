"""Sign-flip tests and the false-discovery rate against scipy, enumeration by hand, and chance."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from circuits.errors import InputError
from circuits.statistics.significance import (
    N_DRAWS,
    discoveries,
    least_p_value,
    prompts_needed,
    sign_flip_p_values,
    size_p_values,
)

ALTERNATIVES = ("two-sided", "greater")


def by_scipy(row: list[float], alternative: str) -> float:
    """All patterns, as `n_resamples` is infinite."""
    return stats.permutation_test(
        (np.array(row),),
        np.mean,
        permutation_type="samples",
        n_resamples=np.inf,
        alternative=alternative,
    ).pvalue


def by_hand(row: list[float], alternative: str) -> float:
    """The share of all sign patterns whose sum is as far out; whole numbers, so no rounding."""
    sums = [sum(s * x for s, x in zip(signs, row, strict=True)) for signs in signs_of(len(row))]
    if alternative == "greater":
        return sum(total >= sum(row) for total in sums) / len(sums)
    return sum(abs(total) >= abs(sum(row)) for total in sums) / len(sums)


def signs_of(n: int):
    return list(product((1, -1), repeat=n))


class TestSignFlip:
    @pytest.mark.parametrize("alternative", ALTERNATIVES)
    @pytest.mark.parametrize("n", [2, 3, 7, 9])
    def test_equals_scipys_permutation_test(self, n: int, alternative: str) -> None:
        draw = torch.Generator().manual_seed(n)
        values = torch.randn(3, n, generator=draw, dtype=torch.float64) + 0.4
        expected = [by_scipy(row, alternative) for row in values.tolist()]
        assert sign_flip_p_values(values, alternative).tolist() == pytest.approx(expected)

    @settings(deadline=None)
    @given(st.lists(st.integers(-5, 5), min_size=1, max_size=8), st.sampled_from(ALTERNATIVES))
    def test_ties_and_zeros_count_as_far_out(self, row, alternative: str) -> None:
        found = sign_flip_p_values(torch.tensor([row], dtype=torch.float32) / 16, alternative)
        assert found.tolist() == pytest.approx([by_hand(row, alternative)])

    @pytest.mark.parametrize("n", [1, 2, 7, 12, 16])
    def test_equal_values_give_the_least_there_is(self, n: int) -> None:
        """0.1 has no exact binary form: sums in another order must still be equal."""
        values = torch.full((2, n), 0.1)
        for alternative in ALTERNATIVES:
            least = least_p_value(n, alternative)
            assert sign_flip_p_values(values, alternative).tolist() == [least, least]
        assert sign_flip_p_values(-values, "greater").tolist() == [1.0, 1.0]

    def test_more_prompts_than_can_be_enumerated_are_sampled(self) -> None:
        draw = torch.Generator().manual_seed(3)
        values = 0.25 + torch.randn(5, 40, generator=draw)
        for alternative in ALTERNATIVES:
            found = sign_flip_p_values(values, alternative)
            expected = stats.ttest_1samp(values.numpy(), 0, axis=1, alternative=alternative).pvalue
            assert found.numpy() == pytest.approx(expected, abs=0.02), "normal values: nearly t"
        assert torch.equal(sign_flip_p_values(values), sign_flip_p_values(values))
        assert not torch.equal(sign_flip_p_values(values), sign_flip_p_values(values, seed=1))
        certain = sign_flip_p_values(torch.ones(1, 40))
        assert certain.tolist() == [1 / (N_DRAWS + 1)] == [least_p_value(40)]

    @pytest.mark.parametrize(("n", "tests"), [(10, 4000), (17, 400)])
    def test_is_uniform_under_its_null_hypothesis(self, n: int, tests: int) -> None:
        """At most a share of about p of all p-values is at most p, and not far less."""
        draw = torch.Generator().manual_seed(0)
        sizes = torch.rand(tests, n, generator=draw) ** 3
        values = sizes * (2 * torch.randint(2, sizes.shape, generator=draw) - 1)
        for alternative in ALTERNATIVES:
            found = sign_flip_p_values(values, alternative)
            for level in (0.01, 0.05, 0.5):
                share = float((found <= level).double().mean())
                assert share == pytest.approx(level, abs=4 * (level / tests) ** 0.5 + 0.002)

    def test_shapes_units_and_what_is_missing(self) -> None:
        draw = torch.Generator().manual_seed(0)
        values = torch.randn(3, 4, 6, generator=draw)
        values[1, 2, 5] = torch.nan
        found = sign_flip_p_values(values)
        assert found.shape == (3, 4)
        assert found.isnan().nonzero().tolist() == [[1, 2]]
        assert torch.equal(found[0], sign_flip_p_values(values[0]))
        scaled = sign_flip_p_values(-1e-6 * values)
        torch.testing.assert_close(scaled, found, equal_nan=True)
        assert sign_flip_p_values(values[:0]).shape == (0, 4)
        with pytest.raises(InputError, match="at least 1 prompt"):
            sign_flip_p_values(values[..., :0])

    def test_many_paths_are_tested_a_few_at_a_time(self) -> None:
        values = torch.randn(2500, 3, generator=torch.Generator().manual_seed(0))
        found = sign_flip_p_values(values)
        pieces = torch.cat([sign_flip_p_values(part) for part in values.split(617)])
        assert torch.equal(found, pieces)


class TestSize:
    @settings(deadline=None)
    @given(st.lists(st.integers(-5, 5), min_size=1, max_size=8))
    def test_against_nothing_it_is_the_two_sided_test(self, row) -> None:
        values = torch.tensor([row], dtype=torch.float64)
        found = size_p_values(values, torch.zeros(len(row)))
        assert found.tolist() == sign_flip_p_values(values).tolist()

    @pytest.mark.parametrize("n", [3, 7, 9])
    def test_equals_scipys_tests_of_both_sides(self, n: int) -> None:
        draw = torch.Generator().manual_seed(n)
        values = torch.randn(4, n, generator=draw, dtype=torch.float64)
        values += torch.tensor([[2.0], [-2.0], [0.3], [0.0]])
        least = torch.rand(n, generator=draw, dtype=torch.float64)
        sides = [
            [by_scipy(row, "greater") for row in (sign * values - least).tolist()]
            for sign in (-1, 1)
        ]
        expected = [min(1.0, 2 * min(both)) for both in zip(*sides, strict=True)]
        assert size_p_values(values, least).tolist() == pytest.approx(expected)

    def test_what_each_prompt_should_be_counts_prompt_by_prompt(self) -> None:
        """Where an effect is always the same share of what varies, it is not above that share."""
        least = torch.tensor([1.0, 8.0, 2.0, 5.0, 3.0, 9.0, 1.0, 4.0])
        assert float(size_p_values(least, least)) == 1.0
        assert float(size_p_values(1.1 * least, least)) == 2 * 2**-8
        assert size_p_values(torch.tensor([[torch.nan] * 8]), least).isnan().all()


class TestNeeded:
    @pytest.mark.parametrize(
        ("level", "alternative", "expected"),
        [
            (0.01, "greater", 7),
            (0.01, "two-sided", 8),
            (0.05 / 270, "two-sided", 14),
            (1.0, "two-sided", 1),
            (2.0**-15, "two-sided", 16),
            (1e-5, "two-sided", None),
        ],
    )
    def test_prompts(self, level: float, alternative: str, expected: int | None) -> None:
        assert prompts_needed(level, alternative) == expected
        if expected is not None and expected > 1:
            assert least_p_value(expected, alternative) <= level
            assert least_p_value(expected - 1, alternative) > level


class TestDiscoveries:
    @settings(deadline=None)
    @given(
        st.lists(st.floats(0, 1), min_size=1, max_size=12), st.sampled_from([0.01, 0.05, 0.3, 1.0])
    )
    def test_step_up_by_the_book(self, p_values, rate: float) -> None:
        """All up to the largest k with p(k) <= k / m * rate."""
        m, ranked = len(p_values), sorted(p_values)
        passing = [k for k, p in enumerate(ranked, start=1) if p * m / k <= rate]
        limit = ranked[max(passing) - 1] if passing else -1.0
        found = discoveries(torch.tensor(p_values, dtype=torch.float64), rate)
        assert found.tolist() == [p <= limit for p in p_values]

    def test_what_was_not_tested_does_not_count(self) -> None:
        p_values = torch.tensor([[0.02, torch.nan], [0.04, torch.nan]])
        assert discoveries(p_values, 0.05).tolist() == [[True, False], [True, False]]
        diluted = torch.tensor([0.02, 0.04, *[1.0] * 8])
        assert not discoveries(diluted, 0.05).any()
        assert not discoveries(torch.full((3,), torch.nan), 0.05).any()

    def test_a_single_one_must_pass_the_rate_over_their_number(self) -> None:
        p_values = torch.ones(20, dtype=torch.float64)
        p_values[3] = 0.05 / 20
        assert discoveries(p_values, 0.05).nonzero().tolist() == [[3]]
        p_values[3] *= 1.01
        assert not discoveries(p_values, 0.05).any()
