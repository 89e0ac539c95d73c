from __future__ import annotations

from typing import get_args

import pytest

from circuits.errors import SettingError
from circuits.pruning import CliffRule, PruningRule


@pytest.mark.parametrize("cliff", get_args(CliffRule))
def test_a_curve_is_needed_where_performance_decides(cliff: CliffRule) -> None:
    assert PruningRule(cliff).needs_curve == (cliff not in ("fixed", "share"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lowest_sparsity": -0.1}, "lowest_sparsity must be at least 0 and below 1, got -0.1"),
        ({"lowest_sparsity": float("nan")}, "lowest_sparsity must be at least 0 and below 1"),
        ({"highest_sparsity": 1.0}, "highest_sparsity must be above 0 and below 1, got 1.0"),
        ({"lowest_sparsity": 0.9, "highest_sparsity": 0.7}, "lowest < highest .*got 0.9 and 0.7"),
        ({"lowest_sparsity": 0.7, "highest_sparsity": 0.7}, "lowest < highest .*got 0.7 and 0.7"),
        ({"step": 0.0}, "step must be above 0 and below 1, got 0.0"),
        ({"step": float("nan")}, "step must be above 0 and below 1, got nan"),
        ({"fixed_sparsity": 1.0}, "fixed_sparsity must be above 0 and below 1, got 1.0"),
        ({"score_share": 0.0}, "score_share must be above 0 and below 1, got 0.0"),
    ],
)
def test_numbers_out_of_range(settings, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        PruningRule(**settings)


def test_an_unknown_cliff(without_type_checks) -> None:
    with pytest.raises(SettingError, match="unknown cliff 'steepest'; known cliffs: "):
        PruningRule(cliff="steepest")
