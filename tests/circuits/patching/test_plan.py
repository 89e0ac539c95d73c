"""How prompts and rows are split; that it changes no number is in test_engines and test_sweep."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.components import all_heads
from circuits.errors import SettingError
from circuits.forward import Activations, LayeredModel
from circuits.forward.activations import PROMPTS_TOGETHER
from circuits.metrics import logit_diff
from circuits.patching.plan import plan_work, sweep_flops
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES, N_HEADS, N_LAYERS
from tests.circuits.prompts import ragged_pairs

HEADS = all_heads(N_LAYERS, N_HEADS)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 30), senders=st.integers(0, 12), memory=st.integers(1, 10**7))
def test_batches_hold_every_prompt(n: int, senders: int, memory: int) -> None:
    model, pairs = LayeredModel.of(shared_model("llama")), ragged_pairs(n)
    plan = plan_work(model, pairs, HEADS[:senders], memory)
    assert 1 <= plan.batch_size <= min(n, PROMPTS_TOGETHER)
    assert (plan.n_batches - 1) * plan.batch_size < n <= plan.n_batches * plan.batch_size
    assert plan.max_rows >= 1


def test_more_memory_larger_parts() -> None:
    model, pairs = LayeredModel.of(shared_model("llama")), ragged_pairs(12)
    splits = [plan_work(model, pairs, HEADS, memory) for memory in (1, 10**4, 10**5, 10**6, 10**9)]
    batches = [split.n_batches for split in splits]
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
    split = plan_work(model, pairs, HEADS[:senders], memory)
    assert 1 < split.n_batches < 12
    for batch in Activations(model, pairs, logit_diff).split(split.batch_size):
        part = batch.pairs
        tokens = int((part.end - part.first_difference + 1).sum())
        assert 3 * 4 * model.d_model * tokens * senders <= memory // 2


@pytest.mark.parametrize("memory_bytes", [0, -1])
def test_no_memory(llama, pairs, memory_bytes: int) -> None:
    with pytest.raises(SettingError, match="memory_bytes must be at least 1, got"):
        plan_work(LayeredModel.of(llama), pairs, HEADS, memory_bytes)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 30), memory=st.integers(1, 10**7), together=st.integers(1, 20))
def test_a_plan_of_several_prompts_keeps_to_its_budget(n: int, memory: int, together: int) -> None:
    model = LayeredModel.of(shared_model("llama"))
    for given_together in (None, together):
        plan = plan_work(model, ragged_pairs(n), HEADS, memory, given_together)
        if plan.batch_size > 1 and plan.max_rows > 1:
            assert plan.n_bytes <= memory
        assert plan.kept_bytes <= memory // 4


def test_patterns_of_long_prompts_count() -> None:
    """They grow with the square of the length; in gradients every layer's are kept at once."""
    model, memory = LayeredModel.of(shared_model("llama")), 1 << 21
    short, long = (
        plan_work(model, ragged_pairs(8, width=width), HEADS[:1], memory) for width in (60, 240)
    )
    assert (short.batch_size, long.batch_size) == (6, 1)
    assert long.max_rows < short.max_rows
    patterns = 4 * N_LAYERS * N_HEADS * 240 * (240 - 1)
    assert long.n_bytes > patterns


def test_fewer_senders_at_once_allow_larger_batches() -> None:
    model, pairs = LayeredModel.of(shared_model("llama")), ragged_pairs(12)
    batches = [plan_work(model, pairs, HEADS, 200_000, n).n_batches for n in (1, 4, 12, 50)]
    assert batches == sorted(batches)
    assert batches[0] < batches[2] == batches[3]


@pytest.mark.parametrize("family", FAMILIES)
def test_flops_of_a_sweep_grow_with_senders_and_tokens(family: str) -> None:
    model = LayeredModel.of(shared_model(family))
    by_senders = [sweep_flops(model, 20, HEADS[:n]) for n in range(13)]
    assert by_senders == sorted(by_senders)
    assert by_senders[0] == 0
    assert by_senders[12] > by_senders[4] >= 0
    assert by_senders[12] > 0
    assert sweep_flops(model, 40, HEADS) == 2 * by_senders[12]
    plan = plan_work(model, ragged_pairs(), HEADS)
    tokens = int((ragged_pairs().end - ragged_pairs().first_difference + 1).sum())
    assert plan.flops == sweep_flops(model, tokens, HEADS)
