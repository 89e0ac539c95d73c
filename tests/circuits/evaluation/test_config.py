from __future__ import annotations

import pytest

from circuits import EvaluationConfig
from circuits.errors import SettingError


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"prompts": "new"}, "unknown prompts 'new'; known prompts: held-out, discovery"),
        ({"rankings": ("signed", "both")}, "unknown ranking 'both'; known rankings: signed, abs"),
        ({"curve_ablation": "noise"}, "unknown curve_ablation 'noise'; known .*: mean, resample"),
        ({"n_prompts": 1}, "n_prompts must be at least 2 and at most 100000, got 1"),
        ({"n_resamples": 0}, "n_resamples must be at least 2 and at most 100000, got 0"),
        ({"confidence": 1.0}, "confidence must be above 0 and below 1, got 1.0"),
        ({"confidence": float("nan")}, "confidence must be above 0 and below 1, got nan"),
    ],
)
def test_nonsense_is_refused(setting, message: str, without_type_checks) -> None:
    with pytest.raises(SettingError, match=f"^{message}"):
        EvaluationConfig(**setting)
