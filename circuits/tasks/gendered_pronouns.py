"""Gendered pronouns."""

from __future__ import annotations

from random import Random
from typing import ClassVar

from circuits.tasks.base import Task, Words
from circuits.tasks.text import PromptPair, filled
from circuits.tasks.words import FEMALE_NAMES, MALE_NAMES, word_list

SENTENCES = (
    "So {name} is such a {adjective} {noun}, isn't",
    "So {name} was such a {adjective} {noun}, wasn't",
    "Well, {name} is a really {adjective} {noun}, isn't",
    "So {name} really is a {adjective} {noun}, isn't",
    "I think {name} is a {adjective} {noun}, isn't",
    "Surely {name} was a {adjective} {noun} then, wasn't",
    "Now {name} has become a {adjective} {noun}, hasn't",
    "And {name} will be a {adjective} {noun} soon, won't",
)
LABELS = {field: field for field in ("name", "adjective", "noun")}
"""What the pieces of a sentence are called."""
FEMALE, MALE = " she", " he"
# Names of women and men alike: SmolLM2-135M prefers neither pronoun by more than 1.5 logits.
NEUTRAL_NAMES = word_list(
    """
    Taylor Jordan Alex Jamie Robin Pat Harper Quinn Morgan Casey Riley Terry Drew Kai Kerry Ari
    Leslie Dakota Kim Chris Sam Logan
    """
)
ADJECTIVES = word_list(
    """
    good great nice kind brave clever funny quiet strong smart friendly careful talented
    brilliant wonderful lovely famous popular skilled proud patient polite calm
    """
)
NOUNS = word_list(
    """
    cook friend person student writer teacher singer dancer painter doctor player leader lawyer
    driver artist reader neighbor scientist speaker musician photographer manager colleague
    """
)


class GenderedPronouns(Task):
    """A statement about a named person and a tag question: the model must add the pronoun.

    After Mathwin and Corlouer 2023: "So Mary is such a good cook, isn't" continues with " she".
    Women and men take turns. The corrupted prompt has a name of women and men alike, which changes
    the first layers about half as much as "someone" or "they" in the same place. `correct` is the
    pronoun that fits, `wrong` the other one.

    >>> pair = GenderedPronouns().example()
    >>> pair.clean, pair.correct
    ("So Kate is such a talented driver, isn't", (' she',))
    """

    name = "gendered-pronouns"
    description = "Refer to a named person with the pronoun that fits the name."
    source = (
        "after Mathwin and Corlouer 2023, Identifying a Preliminary Circuit for Predicting "
        "Gendered Pronouns in GPT-2 Small"
    )
    n_variants = 2 * len(SENTENCES)
    word_lists: ClassVar[Words] = {
        "female": FEMALE_NAMES,
        "male": MALE_NAMES,
        "neutral": NEUTRAL_NAMES,
        "adjective": ADJECTIVES,
        "noun": NOUNS,
    }

    def draw(self, rng: Random, variant: int, words: Words) -> PromptPair:
        sentence = variant % len(SENTENCES)
        is_female = (variant + variant // len(SENTENCES)) % 2 == 0
        name = rng.choice(words["female" if is_female else "male"])
        rest = {"adjective": rng.choice(words["adjective"]), "noun": rng.choice(words["noun"])}
        body = SENTENCES[sentence]
        clean, pieces = filled(body, {"name": name, **rest}, LABELS)
        return PromptPair(
            clean=clean,
            corrupted=body.format(name=rng.choice(words["neutral"]), **rest),
            correct=(FEMALE if is_female else MALE,),
            wrong=(MALE if is_female else FEMALE,),
            template=sentence,
            pieces=pieces,
        )
