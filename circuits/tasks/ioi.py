"""Indirect object identification."""

from __future__ import annotations

from random import Random
from typing import ClassVar

from circuits.tasks.base import Task, Words
from circuits.tasks.text import PromptPair, filled
from circuits.tasks.words import FEMALE_NAMES, MALE_NAMES, word_list

SENTENCES = (
    "When {first} and {second} went to the {place}, {subject} gave a {object} to",
    "Yesterday {first} and {second} were at the {place}, and {subject} gave a {object} to",
    "The day {first} and {second} went to the {place}, {subject} gave a {object} to",
    "Then, {first} and {second} met at the {place}, and {subject} decided to give a {object} to",
    "Once {first} and {second} arrived at the {place}, {subject} offered a {object} to",
    "It was late when {first} and {second} reached the {place}, and {subject} handed a {object} to",
    "At the {place}, {first} and {second} played a game, and {subject} gave a {object} to",
    "Then {first} and {second} had a long talk at the {place}, and {subject} gave a {object} to",
)

LABELS = {
    "first": "name 1",
    "second": "name 2",
    "subject": "subject",
    "place": "place",
    "object": "object",
}
"""What the pieces of a sentence are called; "subject" is the name that is said again."""

PLACES = word_list(
    """
    store school park garden station office restaurant hospital church library museum market beach
    farm house gym hotel bank theater kitchen lake zoo
    """
)
OBJECTS = word_list(
    """
    drink book ring ball basketball computer gift letter ticket flower bottle phone pen cake card
    key coin map toy watch box necklace
    """
)


class IOI(Task):
    """Two names, one of them repeated: the model must say the other one.

    The repeated subject S stands second (ABBA: "John and Mary ..., Mary gave ... to") or first
    (BABA) among the two names. The corrupted prompt is p_ABC of Wang et al. 2022 (section 3): three
    different new names, so that none is repeated. `correct` is the indirect object, `wrong` the
    subject; each sentence in each order has a `template` of its own.

    >>> pair = IOI().example()
    >>> pair.clean, pair.correct
    ('When Aaron and Natalie went to the school, Natalie gave a ticket to', (' Aaron',))
    >>> pair.corrupted
    'When Brandon and Kyle went to the school, Carol gave a ticket to'
    """

    name = "ioi"
    description = "Name the person who receives something: the one of two names not repeated."
    source = "Wang et al. 2022, arXiv 2211.00593"
    n_variants = 2 * len(SENTENCES)
    word_lists: ClassVar[Words] = {
        "name": (*FEMALE_NAMES, *MALE_NAMES),
        "place": PLACES,
        "object": OBJECTS,
    }

    def draw(self, rng: Random, variant: int, words: Words) -> PromptPair:
        sentence = variant % len(SENTENCES)
        # Neighbours alternate, and each sentence has both orders once all variants have had a turn.
        subject_first = (variant + variant // len(SENTENCES)) % 2
        receiver, subject, *others = rng.sample(words["name"], 5)
        first, second = (subject, receiver) if subject_first else (receiver, subject)
        body = SENTENCES[sentence]
        where = {"place": rng.choice(words["place"]), "object": rng.choice(words["object"])}
        names = {"first": first, "second": second, "subject": subject}
        clean, pieces = filled(body, names | where, LABELS)
        return PromptPair(
            clean=clean,
            corrupted=body.format(first=others[0], second=others[1], subject=others[2], **where),
            correct=(f" {receiver}",),
            wrong=(f" {subject}",),
            template=2 * sentence + subject_first,
            pieces=pieces,
        )
