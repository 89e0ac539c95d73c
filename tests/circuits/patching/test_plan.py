"""How prompts and rows are split; that it changes no number is in test_engines and test_sweep."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.components import all_heads
from circuits.model import LayeredModel
from circuits.patching.plan import plan_work
from tests.circuits.conftest import shared_model
from tests.circuits.families import N_HEADS, N_LAYERS
from tests.circuits.prompts import ragged_pairs

HEADS = all_heads(N_LAYERS, N_HEADS)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 30), senders=st.integers(0, 12), memory=st.integers(1, 10**7))
def test_every_prompt_once_and_short_ones_together(n: int, senders: int, memory: int) -> None:
    model, pairs = LayeredModel.of(shared_model("llama")), ragged_pairs(n)
    split = plan_work(model, pairs, all_heads(N_LAYERS, N_HEADS)[:senders], memory)
    order = torch.cat(split.batches)
    assert sorted(order.tolist()) == list(range(n))
    assert pairs.end[order].diff().ge(0).all()
    assert split.max_rows >= 1


def test_more_memory_larger_parts() -> None:
    model, pairs = LayeredModel.of(shared_model("llama")), ragged_pairs(12)
    splits = [plan_work(model, pairs, HEADS, memory) for memory in (1, 10**4, 10**5, 10**6, 10**9)]
    batches = [len(split.batches) for split in splits]
    assert batches == sorted(batches, reverse=True)
    assert batches[0] == 12
    assert batches[-1] == 1
    rows = [split.max_rows for split in splits]
    assert rows == sorted(rows)
    assert rows[0] == 1


def test_state_fits_in_half_of_the_memory() -> None:
    """The residual streams of all senders, at 4 bytes a number, three times over."""
    model, pairs = LayeredModel.of(shared_model("llama")), ragged_pairs(12)
    memory, senders = 400_000, 12
    split = plan_work(model, pairs, all_heads(N_LAYERS, N_HEADS)[:senders], memory)
    assert 1 < len(split.batches) < 12
    for batch in split.batches:
        part = pairs[batch]
        tokens = int((part.end - part.first_difference + 1).sum())
        assert 3 * 4 * model.d_model * tokens * senders <= memory // 2


@pytest.mark.parametrize("memory_bytes", [0, -1])
def test_no_memory(llama, pairs, memory_bytes: int) -> None:
    with pytest.raises(ValueError, match="memory_bytes must be > 0"):
        plan_work(LayeredModel.of(llama), pairs, HEADS, memory_bytes)
