"""What a sample without anything says of the rest: against counting, and against draws."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from circuits.errors import InputError
from circuits.statistics.sampling import most_unseen


@pytest.mark.parametrize("n_all", [1, 2, 7, 40])
@pytest.mark.parametrize("level", [0.008, 0.05, 0.5])
def test_by_counting(n_all: int, level: float) -> None:
    for n_drawn in range(n_all + 1):
        missed = [comb(n_all - k, n_drawn) / comb(n_all, n_drawn) for k in range(n_all + 1)]
        expected = max(
            k for k, probability in enumerate(missed) if probability > level * (1 - 1e-8)
        )
        assert most_unseen(n_all, n_drawn, level) == expected


def test_as_many_are_larger_than_all_drawn_as_it_says() -> None:
    """Whatever the values are; the level is nearly used up."""
    rng = np.random.default_rng(0)
    values = np.arange(200)
    most = most_unseen(200, 20, 0.05)
    larger = [199 - rng.choice(values, 20, replace=False).max() for _ in range(4000)]
    assert 0.03 < np.mean(np.array(larger) > most) < 0.055


def test_as_wilks_says_of_a_large_set() -> None:
    assert most_unseen(10**6, 32, 0.05) / 10**6 == pytest.approx(1 - 0.05 ** (1 / 32), rel=1e-3)


@pytest.mark.parametrize("wrong", [(3, 4, 0.05), (3, -1, 0.05), (3, 1, 0.0), (3, 1, 1.0)])
def test_what_cannot_be_drawn_is_refused(wrong) -> None:
    with pytest.raises(InputError, match="drawn from what there is"):
        most_unseen(*wrong)
