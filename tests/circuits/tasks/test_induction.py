import pytest

from circuits.tasks import get_task


@pytest.fixture
def pairs(tokenizer):
    return get_task("induction").sample(tokenizer, n=64)


def test_the_answer_followed_the_cue_the_first_time(pairs, tokenizer):
    for row, text in enumerate(pairs.clean_text):
        words = text.split()
        cue, answer = words[-1], tokenizer.decode([int(pairs.correct[row, 0])]).strip()
        assert words.count(cue) == 2
        assert words.count(answer) == 1
        assert words[words.index(cue) + 1] == answer


def test_the_wrong_answer_is_another_word_of_the_prompt(pairs, tokenizer):
    for row, text in enumerate(pairs.clean_text):
        words = text.split()
        wrong = tokenizer.decode([int(pairs.wrong[row, 0])]).strip()
        assert wrong in words[:-1]
        assert wrong != words[words.index(words[-1]) + 1]


def test_the_corrupted_prompt_lacks_the_earlier_cue_and_nothing_else(pairs):
    for clean, corrupted in zip(pairs.clean_text, pairs.corrupted_text, strict=True):
        words, others = clean.split(), corrupted.split()
        cue = words[-1]
        assert others[-1] == cue
        assert others.count(cue) == 1
        changed = [place for place in range(len(words)) if words[place] != others[place]]
        assert changed == [words.index(cue)]


def test_length_and_place_of_the_cue_vary(pairs):
    shapes = {
        (len(text.split()), text.split().index(text.split()[-1])) for text in pairs.clean_text
    }
    assert len(shapes) >= 8
