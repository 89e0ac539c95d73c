from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from circuits.errors import TaskError
from circuits.tasks import PromptPairs


@pytest.fixture
def pairs():
    """Three prompts of lengths 3, 4 and 2, padded with 0."""
    return PromptPairs(
        task="made up",
        seed=7,
        clean=torch.tensor([[1, 2, 3, 0], [4, 5, 6, 7], [8, 9, 0, 0]]),
        corrupted=torch.tensor([[1, 1, 3, 0], [3, 5, 6, 6], [8, 7, 0, 0]]),
        end=torch.tensor([2, 3, 1]),
        correct=torch.tensor([[10], [11], [12]]),
        wrong=torch.tensor([[20, 21], [22, -1], [23, 24]]),
        template=torch.tensor([0, 1, 0]),
        clean_text=("a", "b", "c"),
        corrupted_text=("x", "y", "z"),
    )


@pytest.mark.parametrize("index", [0, [0, 1], torch.tensor(1), "a"])
def test_an_index_of_another_kind_is_refused(pairs, index, without_type_checks):
    with pytest.raises(TypeError, match=r"takes a slice, a boolean mask or a 1-D index tensor"):
        pairs[index]


def test_first_difference(pairs):
    assert pairs.first_difference.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (slice(1, 3), [1, 2]),
        (slice(None, None, 2), [0, 2]),
        (torch.tensor([True, False, True]), [0, 2]),
        (torch.tensor([2, 0, 0]), [2, 0, 0]),
        (slice(0, 0), []),
    ],
)
def test_a_subset_takes_the_same_rows_of_everything(pairs, index, rows):
    subset = pairs[index]
    assert len(subset) == len(rows)
    for name in ("clean", "corrupted", "end", "correct", "wrong", "template"):
        assert torch.equal(getattr(subset, name), getattr(pairs, name)[rows]), name
    assert subset.clean_text == tuple("abc"[row] for row in rows)
    assert subset.corrupted_text == tuple("xyz"[row] for row in rows)
    assert (subset.task, subset.seed) == ("made up", 7)


def test_turns_go_on_behind_each_other_and_come_round(pairs):
    turns = [pairs.in_turn(2, turn).clean_text for turn in range(3)]
    first, second, third = pairs.clean_text
    assert turns == [(first, second), (third, first), (second, third)]


def test_to_moves_every_tensor(pairs):
    moved = pairs.to("cpu")
    for name in ("clean", "corrupted", "end", "correct", "wrong", "template"):
        assert torch.equal(getattr(moved, name), getattr(pairs, name)), name
    assert moved.clean_text == pairs.clean_text


def test_none_may_be_corrupted(pairs):
    """What differs behind the answer does not count."""
    corrupted = pairs.clean.clone()
    corrupted[2, 2:] += 1
    control = replace(pairs, corrupted=corrupted)
    assert len(control[1:]) == 2


def test_frozen(pairs):
    with pytest.raises(FrozenInstanceError):
        pairs.seed = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corrupted": torch.ones(3, 5, dtype=torch.long)}, r"got \[3, 4\] and \[3, 5\]"),
        ({"template": torch.tensor([0, 1])}, "one row per prompt, got .*'template': 2"),
        ({"clean_text": ("a",)}, "one row per prompt, got .*'clean_text': 1"),
        ({"end": torch.tensor([2, 4, 1])}, "pair 1: end is position 4, allowed are 0 to 3"),
        ({"end": torch.tensor([0, 3, 1])}, "pair 0: .* same tokens up to .*: 'a'"),
        ({"correct": torch.tensor([[10], [-1], [12]])}, "pair 1 has no correct answer"),
        ({"wrong": torch.tensor([[1, 2], [1, 2], [-1, -1]])}, "pair 2 has no wrong answer.*'c'"),
    ],
)
def test_parts_that_do_not_fit_are_refused(pairs, change, message, without_type_checks):
    with pytest.raises(TaskError, match=message):
        replace(pairs, **change)
