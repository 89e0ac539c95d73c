import re

import pytest

from circuits.tasks import get_task
from circuits.tasks.ioi import SENTENCES
from circuits.tasks.words import FEMALE_NAMES, MALE_NAMES

NAMES = {*FEMALE_NAMES, *MALE_NAMES}


@pytest.fixture
def pairs(tokenizer):
    return get_task("ioi").sample(tokenizer, n=64)


def names_in(text):
    return [word for word in re.findall(r"\w+", text) if word in NAMES]


def decoded(tokenizer, answers):
    return [tokenizer.decode([answer]).strip() for answer in answers[:, 0].tolist()]


def test_the_subject_occurs_twice_and_the_indirect_object_once(pairs, tokenizer):
    correct, wrong = decoded(tokenizer, pairs.correct), decoded(tokenizer, pairs.wrong)
    for text, receiver, subject in zip(pairs.clean_text, correct, wrong, strict=True):
        first, second, last = names_in(text)
        assert last == subject
        assert {first, second} == {receiver, subject}


def test_both_orders_are_equally_frequent_and_told_apart_by_the_template(pairs):
    subject_first = [names_in(text)[0] == names_in(text)[2] for text in pairs.clean_text]
    assert sum(subject_first) == 32
    assert len(pairs.template.unique()) == 2 * len(SENTENCES)
    of_template = dict(zip(pairs.template.tolist(), subject_first, strict=True))
    assert [of_template[template] for template in pairs.template.tolist()] == subject_first


def test_the_corrupted_prompt_has_three_new_names_and_nothing_else_new(pairs):
    for clean, corrupted in zip(pairs.clean_text, pairs.corrupted_text, strict=True):
        assert len(set(names_in(corrupted))) == 3
        assert not set(names_in(clean)) & set(names_in(corrupted))
        assert _without_names(clean) == _without_names(corrupted)


def _without_names(text):
    return [word for word in text.replace(",", " ,").split() if word not in NAMES]
