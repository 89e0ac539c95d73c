from __future__ import annotations

import pytest

from circuits.errors import SettingError
from circuits.search import SelectionRule

NAN = float("nan")


def test_only_significance_needs_p_values() -> None:
    assert SelectionRule(kind="significance").tests_significance
    assert not SelectionRule().tests_significance


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 0.0}, "threshold must be above 0, got 0.0"),
        ({"threshold": NAN}, "threshold must be above 0, got nan"),
        ({"logits_threshold": -1.0}, "logits_threshold must be above 0, got -1.0"),
        ({"min_effect": -0.1}, "min_effect must be at least 0, got -0.1"),
        ({"min_effect": NAN}, "min_effect must be at least 0, got nan"),
        ({"alpha": -1.0}, "alpha must be at least 0, got -1.0"),
        ({"false_discovery_rate": 0.0}, "false_discovery_rate must be above 0 and below 1"),
        ({"false_discovery_rate": 1.0}, "got 1.0"),
        ({"false_discovery_rate": NAN}, "got nan"),
    ],
)
def test_nonsense(settings, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        SelectionRule(**settings)


@pytest.mark.parametrize(("name", "value"), [("distance", "cubic"), ("kind", "vote")])
def test_unknown_names(name: str, value: str, without_type_checks) -> None:
    with pytest.raises(SettingError, match=f"unknown {name} '{value}'; known "):
        SelectionRule(**{name: value})
