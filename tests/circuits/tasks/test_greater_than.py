import re

import pytest

from circuits.errors import TaskError
from circuits.tasks import get_task
from tests.circuits.tasks.fakes import PieceTokenizer


def years(text):
    """Return the start year and the century at the end."""
    start, century = re.findall(r"\d+", text)
    return start, century


def answers(tokenizer, row):
    return {tokenizer.decode([token]) for token in row.tolist() if token != -1}


def test_two_digit_tokens_are_scored_as_whole_years(gpt2_tokenizer):
    pairs = get_task("greater-than").sample(gpt2_tokenizer, n=200)
    for row, text in enumerate(pairs.clean_text):
        start, century = years(text)
        assert start[:2] == century
        assert gpt2_tokenizer.tokenize(" " + start) == ["Ġ" + century, start[2:]]
        correct = answers(gpt2_tokenizer, pairs.correct[row])
        wrong = answers(gpt2_tokenizer, pairs.wrong[row])
        assert all(len(year) == 2 and year > start[2:] for year in correct)
        assert all(len(year) == 2 and year <= start[2:] for year in wrong)
        if century == "17":
            # GPT-2 has all years of this century but 1700 in two pieces.
            assert len(correct) == 99 - int(start[2:])
            assert len(wrong) == int(start[2:])


def test_digit_tokens_are_scored_on_the_tens(smollm2_tokenizer):
    pairs = get_task("greater-than").sample(smollm2_tokenizer, n=200)
    seen = set()
    for row, text in enumerate(pairs.clean_text):
        start, century = years(text)
        assert start[:2] == century
        tens = int(start[2])
        seen.add(tens)
        above = {str(digit) for digit in range(tens + 1, 10)}
        below = {str(digit) for digit in range(tens)}
        assert answers(smollm2_tokenizer, pairs.correct[row]) == above
        assert answers(smollm2_tokenizer, pairs.wrong[row]) == below
    assert seen == set(range(1, 9))


def test_the_corrupted_start_year_ends_in_01_and_nothing_else_changes(tokenizer):
    pairs = get_task("greater-than").sample(tokenizer, n=200)
    for clean, corrupted in zip(pairs.clean_text, pairs.corrupted_text, strict=True):
        start, century = years(clean)
        assert years(corrupted) == (century + "01", century)
        assert clean.replace(start, century + "01", 1) == corrupted


def test_nouns_and_centuries_vary(tokenizer):
    pairs = get_task("greater-than").sample(tokenizer, n=200)
    assert len({years(text)[1] for text in pairs.clean_text}) >= 6
    assert len({text.split()[1] for text in pairs.clean_text if text.startswith("The ")}) >= 8


@pytest.mark.parametrize("pattern", [r" ?\d+| ?\w+|\W", r" ?\d{1,3}| ?\w+|\W"])
def test_other_splits_of_years_are_refused(pattern):
    with pytest.raises(TaskError, match=r"two-digit tokens or into digits.*'the year 1732'"):
        get_task("greater-than").sample(PieceTokenizer(pattern))
