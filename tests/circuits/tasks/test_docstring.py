import re

import pytest

from circuits.tasks import get_task


@pytest.fixture
def pairs(tokenizer):
    return get_task("docstring").sample(tokenizer, n=90)


def signature(text):
    return re.search(r"\((.*)\):", text).group(1).split(", ")


def documented(text):
    return re.findall(r":param (\w+):", text)


def answers(tokenizer, row):
    return {tokenizer.decode([token]) for token in row.tolist() if token != -1}


def test_the_answer_is_the_first_parameter_not_yet_documented(pairs, tokenizer):
    for row, text in enumerate(pairs.clean_text):
        _, *parameters = signature(text)
        done = documented(text)
        assert parameters[: len(done)] == done
        assert text.endswith("\n    :param")
        assert answers(tokenizer, pairs.correct[row]) == {" " + parameters[len(done)]}


def test_wrong_are_all_other_names_of_both_signatures(pairs, tokenizer):
    for row, text in enumerate(pairs.clean_text):
        _, *clean = signature(text)
        _, *corrupted = signature(pairs.corrupted_text[row])
        expected = {" " + name for name in clean + corrupted} - {" " + clean[len(documented(text))]}
        assert answers(tokenizer, pairs.wrong[row]) == expected


def test_the_corrupted_prompt_knows_no_name_of_the_clean_one(pairs):
    for clean, corrupted in zip(pairs.clean_text, pairs.corrupted_text, strict=True):
        names = set(signature(clean)[1:])
        new, new_documented = set(signature(corrupted)[1:]), set(documented(corrupted))
        assert not names & (new | new_documented)
        assert not new & new_documented
        assert len(new) == len(names)


def test_shapes_vary(pairs):
    shapes = {
        (signature(text)[0], len(signature(text)), len(documented(text)), len(text.split()))
        for text in pairs.clean_text
    }
    assert len(shapes) >= 8
    assert {first for first, *_ in shapes} == {"self", "cls"}
