"""Simulated coverage: what is drawn is what the table says, and intervals are near their claim."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.coverage import MODEL, POPULATIONS, TRUE, drawn, measure


@pytest.mark.parametrize("population", POPULATIONS)
def test_circuits_truly_keep_what_is_said(population: str) -> None:
    runs = drawn(POPULATIONS[population], np.random.default_rng(0), 200_000)
    assert runs.shape == (1 + len(TRUE), 200_000)
    assert runs[0].mean() == pytest.approx(MODEL, abs=0.03)
    np.testing.assert_allclose(100 * runs[1:].mean(1) / runs[0].mean(), TRUE, atol=0.5)


def test_intervals_over_independent_prompts_hold_about_what_they_claim() -> None:
    found = measure(POPULATIONS["normal"], 16, n_runs=120, resamples=300)
    assert 0.9 < found["covered"] < 0.98
    assert found["chosen keeps"] > found["plain keeps"] > 80
    assert found["chosen keeps enough"] > found["plain keeps enough"]
    assert found["false opposing"] < 0.06
