"""A model that is all on another device than its prompts: the same circuit is found."""

from __future__ import annotations

from typing import Any

import pytest

from circuits import discover_circuit
from circuits.model.tokenizers import remember_tokenizer
from tests.circuits.families import tiny_model
from tests.circuits.forward.second_device import SECOND, SecondDevice, move
from tests.circuits.prompts import ToyTask, word_tokenizer


def test_the_same_circuit(toy) -> None:
    bridge, task = toy
    sizes: Any = {"n_prompts": 2, "n_mean_prompts": 10, "n_validation_prompts": 4}
    expected = discover_circuit(bridge, task, n_held_out_prompts=4, **sizes)
    moved: Any = tiny_model("gemma3")
    remember_tokenizer(moved, word_tokenizer())
    with SecondDevice():
        move(moved.original_model)
        assert next(moved.parameters()).device == SECOND
        found = discover_circuit(moved, ToyTask(moved), n_held_out_prompts=4, **sizes)
    assert found.circuit.heads == expected.circuit.heads
    assert found.performance == pytest.approx(expected.performance, rel=1e-4)
