from __future__ import annotations

import pytest

from circuits.errors import TaskError
from circuits.evaluation import held_out_pairs
from circuits.tasks import PromptPair, Task
from tests.circuits.prompts import word_tokenizer


class FewWords(Task):
    """Nine prompts, each with one of two corrupted ones."""

    name = "few-words"
    description = "For tests."

    def draw(self, rng, variant, words):
        number = rng.randrange(9)
        return PromptPair(
            f"w1 w{number} w2", f"w1 w{20 + number % 2} w2", correct=(" w3",), wrong=(" w4",)
        )


TASK, TOKENIZER = FewWords(), word_tokenizer()


@pytest.mark.parametrize("seed", range(5))
def test_no_prompt_is_known(seed: int) -> None:
    known = TASK.sample(TOKENIZER, n=4, seed=seed).clean_text
    found = held_out_pairs(TASK, TOKENIZER, 5, seed, known)
    assert len(set(found.clean_text)) == 5
    assert not set(found.clean_text) & set(known)
    assert found.seed == seed


def test_they_are_those_of_the_seed_where_none_is_known() -> None:
    sample = TASK.sample(TOKENIZER, n=6, seed=3)
    assert held_out_pairs(TASK, TOKENIZER, 6, 3, ()).clean_text == sample.clean_text
    skipped = held_out_pairs(TASK, TOKENIZER, 5, 3, sample.clean_text[1:2]).clean_text
    assert skipped == sample.clean_text[:1] + sample.clean_text[2:]


def test_too_few_are_left() -> None:
    known = TASK.sample(TOKENIZER, n=6).clean_text
    with pytest.raises(TaskError, match=r"^4 prompts that the circuit was not discovered on.*ask"):
        held_out_pairs(TASK, TOKENIZER, 4, 1, known)
