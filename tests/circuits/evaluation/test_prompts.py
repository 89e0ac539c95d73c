from __future__ import annotations

import pytest

from circuits import EvaluationConfig
from circuits.errors import TaskError
from circuits.evaluation import FewPromptsWarning, evaluation_size, held_out_pairs
from circuits.model import tokenizer_of
from circuits.tasks import PromptPair, Task, task_from_dataset
from tests.circuits.conftest import toy_discovery
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


def table(toy, n: int):
    bridge, task = toy
    return task_from_dataset(task.to_dataset(tokenizer_of(bridge), n=n), "mine")


def test_what_is_left_of_a_small_table(toy) -> None:
    assert evaluation_size(toy[1], 64) == 64
    assert evaluation_size(table(toy, 12), 8, n_used=4) == 8
    with pytest.warns(FewPromptsWarning, match=r"12 prompts: 8 are left .* where 64 .*; 56 more"):
        assert evaluation_size(table(toy, 12), 64, n_used=4) == 8
    with pytest.raises(
        TaskError, match=r"5 prompts, of which .* took 4: .*\(--prompts discovery\)"
    ):
        evaluation_size(table(toy, 5), 64, n_used=4)
    with pytest.raises(TaskError, match=r"has 1 prompts, and an evaluation needs at least 2: add"):
        evaluation_size(table(toy, 1), 64)


def test_a_run_on_a_small_table_is_evaluated_on_all_others(toy) -> None:
    """It always failed: 64 prompts were asked for, and there were 8."""
    task = table(toy, 12)
    found = toy_discovery(toy[0], task)
    with pytest.warns(FewPromptsWarning, match="8 are left to evaluate on"):
        evaluation = found.evaluate(toy[0], task, EvaluationConfig(n_resamples=20))
    assert (evaluation.prompts, evaluation.n_prompts) == ("held-out", 8)
