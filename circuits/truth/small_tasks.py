"""Tasks in a few dozen words, for models whose circuits are known by construction."""

from __future__ import annotations

from random import Random
from typing import ClassVar

from circuits.errors import TaskError
from circuits.tasks import PromptPair, Task, Words
from circuits.tasks.words import word_list

START = "<start>"
LETTERS = tuple("abcdefghijklmnopqrst")
NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ivo", "Jane", "Kim", "Leo")
NOUNS = word_list("war plague reign strike drought journey siege trial fair truce")
YEARS = tuple(f"{year:02d}" for year in range(16))


class SmallTask(Task):
    """A task with a closed vocabulary: `words`, of which the first begins every prompt."""

    words: ClassVar[tuple[str, ...]]


class SmallInduction(SmallTask):
    """Six letters, then one of them again: the model must say what followed it.

    In the corrupted prompt another letter stands where the last one stood before.
    """

    name = "small-induction"
    description = "Say the letter that followed the last one when it came before."
    source = "Olsson et al. 2022, arXiv 2209.11895"
    letters: ClassVar[tuple[str, ...]] = LETTERS
    words = (START, *letters)
    length: ClassVar[int] = 6
    step: ClassVar[int] = 1
    n_variants = 5

    def draw(self, rng: Random, variant: int, words: Words) -> PromptPair:
        other, *letters = rng.sample(self.letters, self.length + 1)
        cue, answer = letters[variant], letters[variant + self.step]
        replaced = [*letters[:variant], other, *letters[variant + 1 :]]
        distractors = [letter for letter in letters if letter not in (cue, answer)]
        return PromptPair(
            clean=" ".join((START, *letters, cue)),
            corrupted=" ".join((START, *replaced, cue)),
            correct=(f" {answer}",),
            wrong=(f" {rng.choice(distractors)}",),
            template=variant,
        )


class FewLettersInduction(SmallInduction):
    """Small induction over eight letters, few enough to compile."""

    name = "few-letters-induction"
    letters = LETTERS[:8]
    words = (START, *letters)


class SkipInduction(FewLettersInduction):
    """The same, two steps on."""

    name = "skip-induction"
    description = "Say the letter that came two places after the last one when it came before."
    step = 2
    n_variants = 4


class SmallIOI(SmallTask):
    """Two names, one of them repeated: the model must say the other one.

    The corrupted prompt has three different new names (p_ABC of Wang et al. 2022, section 3).
    """

    name = "small-ioi"
    description = "Say which of two names is not repeated."
    source = "Wang et al. 2022, arXiv 2211.00593"
    words = (START, *NAMES, "and", "then", "gave", "to")
    n_variants = 2
    ending: ClassVar[tuple[str, ...]] = ("gave", "to")

    def draw(self, rng: Random, variant: int, words: Words) -> PromptPair:
        first, second, *others = rng.sample(NAMES, 5)
        names = first, second
        return PromptPair(
            clean=self._sentence(*names, names[variant]),
            corrupted=self._sentence(*others),
            correct=(f" {names[1 - variant]}",),
            wrong=(f" {names[variant]}",),
            template=variant,
        )

    def _sentence(self, first: str, second: str, subject: str) -> str:
        return " ".join((START, first, "and", second, "then", subject, *self.ending))


class ShortIOI(SmallIOI):
    """Small IOI that ends with the repeated name, so that two layers of attention can do it."""

    name = "short-ioi"
    ending = ()


class SmallGreaterThan(SmallTask):
    """An event that began in one of sixteen years: it must end in a later one.

    The corrupted event began in year 00, after which every other year is later.
    """

    name = "small-greater-than"
    description = "Say a year later than the given one."
    source = "Hanna et al. 2023, arXiv 2305.00586"
    words = (START, *YEARS, *NOUNS, "from", "to")

    def draw(self, rng: Random, variant: int, words: Words) -> PromptPair:
        noun, year = rng.choice(NOUNS), rng.randrange(1, len(YEARS) - 1)
        return PromptPair(
            clean=self._sentence(noun, YEARS[year]),
            corrupted=self._sentence(noun, YEARS[0]),
            correct=tuple(f" {later}" for later in YEARS[year + 1 :]),
            wrong=tuple(f" {earlier}" for earlier in YEARS[: year + 1]),
        )

    def _sentence(self, noun: str, year: str) -> str:
        return " ".join((START, noun, "from", year, "to"))


SMALL_TASKS: dict[str, type[SmallTask]] = {
    task.name: task
    for task in (
        SmallInduction,
        FewLettersInduction,
        SkipInduction,
        SmallIOI,
        ShortIOI,
        SmallGreaterThan,
    )
}


def small_task(name: str) -> SmallTask:
    """The small task of that name. Raises TaskError naming the known ones."""
    if name not in SMALL_TASKS:
        raise TaskError(f"unknown small task {name!r}; known: {', '.join(SMALL_TASKS)}")
    return SMALL_TASKS[name]()
