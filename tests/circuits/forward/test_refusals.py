"""What no layer does is refused by what it is; the families that have it are in the table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.families import REFUSED
from circuits.errors import UnsupportedModelError
from circuits.forward import LayeredModel

BY_NAME = {family.name: family for family in REFUSED}


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("Gemma 4 (text)", {"hidden_size_per_layer_input": 0}, "values are normalised"),
        (
            "Llama 4 (text)",
            {"layer_types": ["full_attention"] * 3},
            "queries are scaled by their position where nothing is rotated",
        ),
        (
            "Llama 4 (text)",
            {"layer_types": ["full_attention"] * 3, "attn_temperature_tuning": False},
            "differs from the model's own logits",
        ),
    ],
)
def test_another_reason_is_left_without_the_first(name: str, settings: dict, reason: str) -> None:
    """The table says one reason of several: without it they are refused all the same."""
    family = BY_NAME[name]
    with pytest.raises(UnsupportedModelError, match=reason):
        LayeredModel.of(replace(family, settings=family.settings | settings).bridge())
