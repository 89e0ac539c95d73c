import pytest

from circuits.tasks import get_task
from circuits.tasks.gendered_pronouns import NEUTRAL_NAMES
from circuits.tasks.words import FEMALE_NAMES, MALE_NAMES


@pytest.fixture
def pairs(tokenizer):
    return get_task("gendered-pronouns").sample(tokenizer, n=64)


def test_the_pronoun_fits_the_name(pairs, tokenizer):
    for row, text in enumerate(pairs.clean_text):
        correct = tokenizer.decode([int(pairs.correct[row, 0])])
        wrong = tokenizer.decode([int(pairs.wrong[row, 0])])
        name = text.split()[int(text.split()[1] == "think") + 1]
        assert (name in FEMALE_NAMES) != (name in MALE_NAMES)
        assert (correct, wrong) == ((" she", " he") if name in FEMALE_NAMES else (" he", " she"))


@pytest.mark.parametrize("n", [8, 16, 64])
def test_women_and_men_are_equally_many_at_once_and_per_template(tokenizer, n):
    pairs = get_task("gendered-pronouns").sample(tokenizer, n=n)
    she = tokenizer(" she", add_special_tokens=False)["input_ids"][0]
    female = pairs.correct[:, 0] == she
    assert int(female.sum()) == n // 2
    if n >= 16:
        for template in pairs.template.unique():
            rows = pairs.template == template
            assert int(female[rows].sum()) * 2 == int(rows.sum())


def test_only_the_name_changes_and_the_new_one_tells_nothing(pairs):
    for clean, corrupted in zip(pairs.clean_text, pairs.corrupted_text, strict=True):
        changed = [
            new.strip(",")
            for old, new in zip(clean.split(), corrupted.split(), strict=True)
            if old != new
        ]
        assert len(changed) == 1
        assert changed[0] in NEUTRAL_NAMES


def test_no_name_is_in_two_lists():
    names = [*FEMALE_NAMES, *MALE_NAMES, *NEUTRAL_NAMES]
    assert len(names) == len(set(names))
