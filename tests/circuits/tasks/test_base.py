from dataclasses import replace

import pytest
import torch

from circuits.errors import TaskError
from circuits.tasks import PromptPair, Task, get_task
from tests.circuits.tasks.fakes import PieceTokenizer


class Pets(Task):
    """Two variants of different length, with four pairs each."""

    name = "pets"
    description = "Say the animal again."
    n_variants = 2
    word_lists = {"animal": ("cat", "dog", "cow", "horse")}  # noqa: RUF012

    def draw(self, rng, variant, words):
        animal, other = rng.sample(words["animal"], 2)
        start = ("My", "My old")[variant]
        return PromptPair(
            clean=f"{start} {animal} is a",
            corrupted=f"{start} thing is a",
            correct=(f" {animal}",),
            wrong=(f" {other}",),
            template=variant,
        )


def test_variants_take_turns_in_one_ragged_batch(piece_tokenizer):
    pairs = Pets().sample(piece_tokenizer, n=5)
    assert pairs.template.tolist() == [0, 1, 0, 1, 0]
    assert pairs.end.tolist() == [3, 4, 3, 4, 3]


def test_the_seed_chooses_templates_and_their_order(piece_tokenizer):
    def templates(seed, n_templates):
        return Pets().sample(piece_tokenizer, 4, seed, n_templates).template.tolist()

    alone = {tuple(templates(seed, 1)) for seed in range(8)}
    assert alone == {(0, 0, 0, 0), (1, 1, 1, 1)}
    assert {tuple(templates(seed, 2)) for seed in range(8)} == {(0, 1, 0, 1), (1, 0, 1, 0)}
    assert templates(3, 2) == templates(3, 2)
    for none in (0, 3):
        with pytest.raises(TaskError, match=f"has 2 templates, and {none} of them were asked for"):
            templates(0, none)


def test_all_distinct_pairs_can_be_had_and_no_more(piece_tokenizer):
    pairs = Pets().sample(piece_tokenizer, n=8)
    assert len(set(pairs.clean_text)) == 8
    with pytest.raises(TaskError, match=r"asked for 9 distinct pairs and gives 8 .*n <= 8"):
        Pets().sample(piece_tokenizer, n=9)


class Unchanged(Pets):
    """Corrupts nothing; with `now_and_then`, every third draw."""

    now_and_then = False

    def draw(self, rng, variant, words):
        pair = super().draw(rng, variant, words)
        corrupts = self.now_and_then and rng.randrange(3) == 0
        return pair if corrupts else replace(pair, corrupted=pair.clean)


def test_a_task_that_never_corrupts_is_a_control(piece_tokenizer):
    pairs = Unchanged().sample(piece_tokenizer, n=5)
    assert torch.equal(pairs.clean, pairs.corrupted)
    assert pairs.template.tolist() == [0, 1, 0, 1, 0]
    assert pairs.first_difference.tolist() == [0] * 5
    assert pairs[1:3].clean_text == pairs.clean_text[1:3]
    again = Unchanged().sample(piece_tokenizer, n=3)
    assert again.clean_text == pairs.clean_text[:3]


def test_draws_that_corrupt_nothing_are_passed_over(piece_tokenizer, monkeypatch):
    monkeypatch.setattr(Unchanged, "now_and_then", True)
    pairs = Unchanged().sample(piece_tokenizer, n=4)
    assert (pairs.clean != pairs.corrupted).any(dim=1).all()


def test_a_task_that_corrupts_one_variant_alone_is_refused(piece_tokenizer, monkeypatch):
    def draw(self, rng, variant, words):
        pair = Pets.draw(self, rng, variant, words)
        return pair if variant == 1 else replace(pair, corrupted=pair.clean)

    monkeypatch.setattr(Unchanged, "draw", draw)
    with pytest.raises(TaskError, match="gave pairs of equal prompts, and now one of different"):
        Unchanged().sample(piece_tokenizer, n=2)


def test_draws_that_the_tokenizer_cannot_use_are_passed_over():
    # "horse" is two tokens, so prompts with it are longer than their corrupted twins.
    tokenizer = PieceTokenizer(r" hor|se| ?\w+|\W")
    task = Pets()
    task.usable_words = lambda tokenizer: task.word_lists
    pairs = task.sample(tokenizer, n=6)
    assert not any("horse" in text for text in pairs.clean_text)
    with pytest.raises(TaskError, match="gives 6 "):
        task.sample(tokenizer, n=7)


def test_too_few_single_token_words_are_an_error_that_names_the_list():
    with pytest.raises(TaskError, match=r"'pets' needs 4 animal words .* has 0 of our 4"):
        Pets().sample(PieceTokenizer(r"\w|\W"))


@pytest.mark.parametrize("n", [0, -3])
def test_n_must_be_positive(piece_tokenizer, n):
    with pytest.raises(TaskError, match=f"n must be at least 1 prompt pair, got {n}"):
        Pets().sample(piece_tokenizer, n=n)


def test_a_character_tokenizer_is_refused_by_the_five(task_name):
    with pytest.raises(TaskError, match=f"task '{task_name}' needs"):
        get_task(task_name).sample(PieceTokenizer(r"(?s)."))


def test_an_example_can_be_had_of_each_variant():
    assert Pets().example(variant=1).clean.startswith("My old ")
