"""What holds for each of the five tasks under each of two real tokenizers."""

import pytest
import torch

from circuits.tasks import PromptPair, get_task

N = 500


@pytest.fixture(scope="module")
def pairs(task_name, tokenizer):
    return get_task(task_name).sample(tokenizer, n=N, seed=0)


def token_ids(tokenizer, text):
    return tokenizer(text)["input_ids"]


def test_gives_500_distinct_pairs(pairs):
    assert len(pairs) == len(set(pairs.clean_text)) == N


def test_tokens_are_the_tokenizers_own_and_end_is_the_last_of_them(pairs, tokenizer):
    for row in range(N):
        length = int(pairs.end[row]) + 1
        assert pairs.clean[row, :length].tolist() == token_ids(tokenizer, pairs.clean_text[row])
        corrupted = token_ids(tokenizer, pairs.corrupted_text[row])
        assert pairs.corrupted[row, :length].tolist() == corrupted


def test_padding_follows_the_end_and_is_the_same_in_both_prompts(pairs, tokenizer):
    padding = tokenizer.pad_token_id
    padding = tokenizer.eos_token_id if padding is None else padding
    after = torch.arange(pairs.clean.shape[1]) > pairs.end[:, None]
    assert after.any(), "a ragged batch has padding"
    assert (pairs.clean[after] == padding).all()
    assert (pairs.corrupted[after] == padding).all()


def test_every_answer_is_one_token_in_context(pairs, tokenizer):
    for row in range(0, N, 25):
        prompt = token_ids(tokenizer, pairs.clean_text[row])
        for answer in [*pairs.correct[row].tolist(), *pairs.wrong[row].tolist()]:
            if answer != -1:
                text = pairs.clean_text[row] + tokenizer.decode([answer])
                assert token_ids(tokenizer, text) == [*prompt, answer]


def test_no_answer_is_both_correct_and_wrong(pairs):
    same = pairs.correct[:, :, None] == pairs.wrong[:, None, :]
    assert not (same & (pairs.correct >= 0)[:, :, None]).any()
    assert (pairs.correct >= 0).any(dim=1).all()
    assert (pairs.wrong >= 0).any(dim=1).all()


def test_at_least_eight_variants_take_turns(pairs, task_name):
    assert get_task(task_name).n_variants >= 8
    counts = pairs.template.unique(return_counts=True)[1]
    assert len(counts) >= 8
    assert counts.max() - counts.min() <= 2


def test_positions_line_up_within_a_template_and_lengths_differ_between_them(pairs):
    for template in pairs.template.unique():
        assert len(pairs.end[pairs.template == template].unique()) == 1
    assert len(pairs.end.unique()) >= 2


def test_the_first_difference_comes_before_the_answer(pairs):
    rows = torch.arange(N)
    assert (pairs.first_difference < pairs.end).all()
    assert (
        pairs.clean[rows, pairs.first_difference] != pairs.corrupted[rows, pairs.first_difference]
    ).all()
    for row in range(N):
        before = int(pairs.first_difference[row])
        assert torch.equal(pairs.clean[row, :before], pairs.corrupted[row, :before])


def test_the_seed_decides(pairs, task_name, tokenizer):
    task = get_task(task_name)
    again = task.sample(tokenizer, n=N, seed=0)
    assert again.clean_text == pairs.clean_text
    assert again.corrupted_text == pairs.corrupted_text
    assert torch.equal(again.wrong, pairs.wrong)
    other = task.sample(tokenizer, n=N, seed=1)
    assert len(set(other.clean_text) & set(pairs.clean_text)) < N / 4


def test_a_smaller_sample_is_the_beginning_of_a_larger_one(pairs, task_name, tokenizer):
    few = get_task(task_name).sample(tokenizer, n=16, seed=0)
    assert few.clean_text == pairs.clean_text[:16]
    assert few.corrupted_text == pairs.corrupted_text[:16]


def test_the_clean_prompt_ends_as_the_corrupted_one_does(pairs):
    for clean, corrupted in zip(pairs.clean_text, pairs.corrupted_text, strict=True):
        assert clean != corrupted
        assert clean.split(" ")[0] == corrupted.split(" ")[0]


def test_an_example_needs_no_tokenizer(task_name):
    example = get_task(task_name).example()
    assert isinstance(example, PromptPair)
    assert example.clean != example.corrupted
    assert example == get_task(task_name).example(seed=0)
    assert example != get_task(task_name).example(seed=1)


def test_it_says_what_it_is(task_name):
    task = get_task(task_name)
    assert task.name == task_name
    assert task.description.endswith(".")
    assert "20" in task.source
