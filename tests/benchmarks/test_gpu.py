"""The script for a GPU, on a CPU: what it measures there is exact or priced the same."""

from __future__ import annotations

import pytest

from benchmarks import gpu
from benchmarks.machine import describe_machine
from circuits.patching import ESTIMATORS


def test_engines_agree_with_themselves() -> None:
    row = next(gpu.agreement("cpu"))
    assert row == {"family": "gpt2", **dict.fromkeys(ESTIMATORS.names(), 0.0)}


@pytest.mark.filterwarnings("ignore::circuits.behaviour.WeakTaskWarning")
def test_a_shape_with_random_weights_is_priced() -> None:
    few_heads = {"num_attention_heads": 8, "num_key_value_heads": 2}
    row = gpu.large_shape("cpu", gpu.SMALL | few_heads)
    assert row["task"] == "ioi"
    assert row["forward_passes"] > 2
    measured = {
        "agreement": [{"family": "gpt2", "exact": 1e-7}],
        "bfloat16": {"mean": 1e-3, "largest": 1e-2},
        "circuits": [{"method": "app", "same": True}, {"method": "eap", "same": False}],
        "runs": [row],
        "machine": describe_machine(),
    }
    text = gpu.markdown(measured)
    assert "| gpt2 | 1.0e-07 |" in text
    assert "1 of 2 methods find on a toy" in text
    assert "random weights, 2 layers | bfloat16 | ioi |" in text


def test_without_a_gpu_it_says_so(monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="no GPU here; --device cpu --small tries"):
        gpu.main()
