"""Packed tokens against plain loops over prompts and positions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.forward.positions import ActivePositions
from tests.circuits.prompts import ragged_pairs

spans = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 8)).map(sorted), min_size=1, max_size=5
)
"""First difference and end of each prompt, anywhere and in any order."""


def build(spans):
    """Pairs that differ from the first position to behind the last, and their tokens, listed."""
    pairs = ragged_pairs(len(spans))
    firsts, ends = torch.tensor(spans).T
    corrupted = torch.where(torch.arange(9) < firsts[:, None], pairs.clean, pairs.clean + 1)
    pairs = replace(pairs, corrupted=corrupted, end=ends)
    expected = [(r, at) for r, (first, end) in enumerate(spans) for at in range(first, end + 1)]
    return pairs, ActivePositions.between_difference_and_end(pairs), expected


@settings(max_examples=50, deadline=None)
@given(spans)
def test_between_difference_and_end(spans) -> None:
    pairs, tokens, expected = build(spans)
    assert list(zip(tokens.prompt.tolist(), tokens.position.tolist(), strict=True)) == expected
    assert len(tokens) == len(expected)
    at_end = [expected[index] for index in tokens.end_token.tolist()]
    assert at_end == list(enumerate(pairs.end.tolist()))


@settings(max_examples=50, deadline=None)
@given(spans)
def test_slots_number_each_prompts_tokens(spans) -> None:
    _, tokens, expected = build(spans)
    counts: dict[int, int] = {}
    for index, (row, position) in enumerate(expected):
        slot = counts.get(row, 0)
        counts[row] = slot + 1
        assert tokens.slot[index] == slot
        assert tokens.slot_position[row, slot] == position
    assert tokens.n_slots == max(counts.values())
    for row, count in counts.items():
        assert (tokens.slot_position[row, count:] == tokens.slot_position[row, 0]).all()


@settings(max_examples=50, deadline=None)
@given(spans, st.booleans())
def test_layouts_hold_the_same_numbers(spans, batched: bool) -> None:
    pairs, tokens, expected = build(spans)
    full = torch.randn(len(pairs), 9, 2, 3)
    packed = tokens.pack(full)
    assert all(torch.equal(packed[i], full[at]) for i, at in enumerate(expected))
    new = torch.randn(*([4] if batched else []), len(expected), 2, 3)
    slots = tokens.to_slots(new)
    assert slots.shape == (*new.shape[:-3], len(pairs), tokens.n_slots, 2, 3)
    assert torch.equal(tokens.from_slots(slots), new)
    assert slots.count_nonzero() == new.count_nonzero()
    before = full.clone()
    merged = tokens.overwrite(full, new)
    assert torch.equal(full, before), "the clean run is shared and must not change"
    outside = torch.ones(len(pairs), 9, dtype=torch.bool)
    for index, (row, position) in enumerate(expected):
        assert torch.equal(merged[..., row, position, :, :], new[..., index, :, :])
        outside[row, position] = False
    kept = merged[..., outside, :, :]
    assert torch.equal(kept, full[outside].expand_as(kept))


@settings(max_examples=50, deadline=None)
@given(spans, st.booleans())
def test_sums_by_prompt(spans, batched: bool) -> None:
    pairs, tokens, expected = build(spans)
    x = torch.randint(-9, 9, (*([4] if batched else []), len(expected), 2)).float()
    summed = torch.zeros(*x.shape[:-2], len(pairs), 2)
    for index, (row, _) in enumerate(expected):
        summed[..., row, :] += x[..., index, :]
    assert torch.equal(tokens.sum_by_prompt(x), summed)


def test_at_end(pairs) -> None:
    tokens = ActivePositions.at_end(pairs)
    assert tokens.prompt.tolist() == list(range(len(pairs)))
    assert torch.equal(tokens.position, pairs.end)
    assert tokens.n_slots == 1
    assert torch.equal(tokens.end_token, torch.arange(len(pairs)))


@pytest.mark.parametrize("behind", [True, False])
def test_what_differs_behind_the_answer_does_not_count(behind: bool) -> None:
    pairs = ragged_pairs(2)
    corrupted = pairs.clean.clone()
    corrupted[:, 3] += 1
    if behind:
        corrupted[1, -1] += 1
    tokens = ActivePositions.between_difference_and_end(replace(pairs, corrupted=corrupted))
    assert tokens.position.tolist() == [3, 4, 5, 6, 7, 8, 3, 4, 5, 6, 7]
