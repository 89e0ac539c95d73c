from __future__ import annotations

import pytest

from circuits import EvaluationConfig


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"prompts": "new"}, "prompts"),
        ({"rankings": ("signed", "both")}, "ranking"),
        ({"curve_ablation": "noise"}, "curve_ablation"),
        ({"n_prompts": 1}, "n_prompts must be at least 2, for an interval, got 1"),
        ({"n_resamples": 0}, "n_resamples must be at least 2, for an interval, got 0"),
        ({"confidence": 1.0}, "confidence must lie between 0 and 1, got 1.0"),
        ({"confidence": float("nan")}, "confidence must lie between 0 and 1, got nan"),
    ],
)
def test_nonsense_is_refused(setting, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        EvaluationConfig(**setting)
