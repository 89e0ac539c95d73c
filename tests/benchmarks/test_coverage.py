"""Simulated coverage: what is drawn is what the tables say, and claims are near what is found."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import (
    coverage_inclusion,
    coverage_intervals,
    coverage_search,
    coverage_tests,
)
from benchmarks.coverage_intervals import MODEL, POPULATIONS, TRUE, drawn, kept
from circuits.statistics import Bootstrap


@pytest.mark.parametrize("population", POPULATIONS)
def test_circuits_truly_keep_what_is_said(population: str) -> None:
    (runs,) = drawn(POPULATIONS[population], np.random.default_rng(0), 200_000, n_draws=1)
    assert runs.shape == (1 + len(TRUE), 200_000)
    assert runs[0].mean() == pytest.approx(MODEL, abs=0.03)
    np.testing.assert_allclose(100 * runs[1:].mean(1) / runs[0].mean(), TRUE, atol=0.5)


def test_intervals_of_many_draws_at_once_are_those_of_each() -> None:
    runs = drawn(POPULATIONS["heavy tails"], np.random.default_rng(1), 8, n_draws=23)
    found = kept(runs, resamples=50)
    assert len(found) == 23
    for one, own in zip(found[::7], runs[::7], strict=True):
        alone = Bootstrap(n_resamples=50).estimates(lambda mean: 100 * mean[1:] / mean[:1], own)
        assert one == pytest.approx(alone)


def test_intervals_over_independent_prompts_hold_about_what_they_claim() -> None:
    found = coverage_intervals.measure("normal", 16, n_draws=120, resamples=300)
    for claim in ("covered", "chosen covered", "gap covered"):
        assert 0.89 < found[claim] <= 1
    none, half, two = found["chosen"].values()
    for figure, least in (("keeps", 80.0), ("keeps enough", 0.0)):
        assert two[figure] > half[figure] > none[figure] > least
    assert found["false opposing"] < 0.06


def test_rates_hold_over_independent_prompts() -> None:
    found = coverage_tests.prompts("normal", 12, n_runs=60)
    assert found["behaviour"] <= 0.02
    assert found["by receiver"] <= 0.07
    assert found["found"] > 0.5
    alike = coverage_tests.prompts("alike", 12, n_runs=60)
    assert alike["by receiver"] > found["by receiver"], "and not where four say the same"


def test_seeds_and_random_circuits_are_called_odd_as_often_as_is_said() -> None:
    found = coverage_tests.seeds("normal", 400)
    assert 0.02 < found["reported"] < 0.09
    assert 0.02 < found["others"] < 0.09
    agree = coverage_tests.circuits(150)
    assert max(agree.values()) <= 0.08


@pytest.mark.parametrize("world", ["few vanish, effects are large", "receivers are opened again"])
def test_the_bound_on_what_is_left_out_holds(world: str) -> None:
    found = coverage_search.measure(world, 25)
    assert found["broken"] <= 0.16
    assert found["within"] >= found["claimed"] - 1e-9 > 0.5


@pytest.mark.parametrize("world", coverage_inclusion.WORLDS)
def test_of_what_seeds_are_said_to_agree_on_little_is_noise(world: str) -> None:
    found = coverage_inclusion.measure(world, 10, n_runs=25)
    assert found["false"] <= 0.12
    assert (found["covered"] is None) == (not found["found"])
    if found["found"]:
        assert found["covered"] >= 0.95
        always, often, seldom = found["found"]
        assert always == 1
        assert 1 > often > 0.4 > 0.2 > seldom
