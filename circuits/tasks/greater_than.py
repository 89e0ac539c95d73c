"""Greater-than between years."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import ClassVar

from circuits.errors import TaskError
from circuits.tasks.base import Task, Words
from circuits.tasks.text import PromptPair, filled
from circuits.tasks.tokenization import Tokenizer, single_token_words, token_ids
from circuits.tasks.words import word_list

SENTENCES = (
    "The {noun} lasted from the year {start} to the year {century}",
    "The {noun} began in the year {start} and ended in the year {century}",
    "The {noun} went on from the year {start} until the year {century}",
    "The {noun} started in the year {start} and was over by the year {century}",
    "The long {noun} ran from the year {start} to the year {century}",
    "People say the {noun} lasted from the year {start} to the year {century}",
    "The {noun} of the year {start} came to an end in the year {century}",
    "After it began in the year {start}, the {noun} lasted until the year {century}",
    "The whole {noun} took place from the year {start} to the year {century}",
)

LABELS = {"noun": "noun", "start": "start year", "century": "end century"}
"""What the pieces of a sentence are called."""

NOUNS = word_list(
    """
    war conflict siege campaign struggle rebellion revolution occupation dispute crisis expedition
    project partnership alliance reign strike trial voyage drought famine friendship boom mission
    marriage debate program contract truce
    """
)

CENTURIES = tuple(str(century) for century in range(11, 19))
TWO_DIGITS = tuple(f"{year:02d}" for year in range(100))
DIGITS = tuple("0123456789")
CORRUPTED_YEAR = "01"


class GreaterThan(Task):
    """A span of years within one century: the end must come after the start.

    Where a tokenizer splits " 1732" into " 17" and "32" (GPT-2), answers are two-digit tokens:
    `correct` are the years after the start, `wrong` the start year and those before it, each as
    far as the tokenizer splits that year so, too. Where it splits years into digits (Llama, Qwen,
    SmolLM), the tens digit is scored: `correct` are the digits above the start's, `wrong` those
    below. Start years that leave either set empty are not used. The corrupted start year ends in
    01, as in Hanna et al. 2023 (section 3).

    >>> pair = GreaterThan().example()
    >>> pair.clean, pair.correct[0], pair.wrong[-1]
    ('The debate lasted from the year 1508 to the year 15', '09', '08')
    """

    name = "greater-than"
    description = "Complete the end year of a time span with one that is later than its start."
    source = "Hanna et al. 2023, arXiv 2305.00586"
    n_variants = len(SENTENCES)
    word_lists: ClassVar[Words] = {
        "noun": NOUNS,
        "start": tuple(century + year for century in CENTURIES for year in TWO_DIGITS[2:99]),
        "end": tuple(century + year for century in CENTURIES for year in TWO_DIGITS),
    }

    def usable_words(self, tokenizer: Tokenizer) -> Words:
        """Return the nouns, the start years, and the ends: a century and one answer token.

        Raises:
            TaskError: Years are split neither into two two-digit tokens nor into digits.

        """
        nouns = single_token_words(tokenizer, NOUNS)
        tokens = cache(lambda year: token_ids(tokenizer, f"the year {year}"))
        for endings in (TWO_DIGITS, DIGITS):
            ends, starts = _years(tokens, endings)
            if nouns and starts:
                return {"noun": nouns, "start": starts, "end": ends}
        raise TaskError(
            f"task {self.name!r} needs a tokenizer that splits years into two two-digit tokens or "
            f"into digits, and knows one of the nouns {', '.join(NOUNS[:3])}...; this one splits "
            f"'the year 1732' into the tokens {tokens('1732')}; choose "
            "another task or another model"
        )

    def draw(self, rng: Random, variant: int, words: Words) -> PromptPair:
        start, noun = rng.choice(words["start"]), rng.choice(words["noun"])
        century = start[:2]
        correct, wrong = _answers(start, words["end"])
        body = SENTENCES[variant]
        values = {"noun": noun, "start": start, "century": century}
        clean, pieces = filled(body, values, LABELS)
        return PromptPair(
            clean=clean,
            corrupted=body.format(noun=noun, start=century + CORRUPTED_YEAR, century=century),
            correct=correct,
            wrong=wrong,
            template=variant,
            pieces=pieces,
        )


def _years(
    tokens: Callable[[str], list[int]], endings: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the ends and the start years that split into a century and pieces like `endings`.

    `tokens` are those of a year, or the beginning of one, in a text.
    """
    ends: list[str] = []
    whole: list[str] = []
    digits = len(endings[0])
    for century in CENTURIES:
        before = tokens(century)
        for ending in endings:
            if tokens(century + ending)[:-1] == before:
                ends.append(century + ending)
        for year in TWO_DIGITS:
            ids = tokens(century + year)
            if century + year[:digits] in ends and len(ids) == len(before) + 2 // digits:
                whole.append(century + year)
    usable = tuple(
        year
        for year in whole
        if year[:2] + CORRUPTED_YEAR in whole
        and year[2:] != CORRUPTED_YEAR
        and all(_answers(year, ends))
    )
    return tuple(ends), usable


def _answers(start: str, ends: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the right and the wrong answers after the century of the start year."""
    endings = [end[2:] for end in ends if end[:2] == start[:2]]
    year = start[2:]
    correct = tuple(ending for ending in endings if ending > year[: len(ending)])
    # A tens digit equal to the start's could still be right; a whole year equal to it is wrong.
    wrong = tuple(e for e in endings if e < year[: len(e)] or e == year)
    return correct, wrong
