"""Induction on random words."""

from __future__ import annotations

from random import Random
from typing import ClassVar

from circuits.tasks.base import Task, Words
from circuits.tasks.text import PromptPair, joined
from circuits.tasks.words import word_list

# Without some text before them, a model takes the first word as a place to rest its attention.
OPENING = "Read this:"

# (words in the sequence, place in it of the cue, counted from 0)
SHAPES = ((9, 7), (10, 7), (10, 8), (11, 7), (11, 8), (11, 9), (12, 8), (12, 9))

CUE, NEXT, SEQUENCE, REPETITION = "A", "B", "sequence", "repetition"
"""What the pieces of a prompt are called: "... A B ... A" in the words of Olsson et al."""

WORDS = word_list(
    """
    apple river stone garden window paper music doctor horse table winter bread forest glass train
    bridge metal candle summer ocean mountain school letter market coffee sugar village island
    hammer basket ladder rabbit tiger eagle salmon pepper lemon cotton silver copper marble castle
    temple tunnel rocket engine piano guitar violin drum mirror blanket pillow bottle jacket button
    pocket wallet camera pencil needle ribbon feather pebble desert valley canyon harbor anchor sail
    captain soldier farmer baker painter singer dancer judge prince queen king monk pilot nurse
    butter cheese honey onion potato tomato carrot orange banana cherry grape peach berry
    cloud thunder storm shadow smoke flame ash dust sand mud grass flower tree leaf root seed
    brown green purple yellow seven eleven twelve dozen hundred
    """
)


class Induction(Task):
    """Random words that start over: the model must say what followed the cue the first time.

    The prompt is a sequence of different words, then the same words again up to a cue A, which
    stood earlier before B: `correct` is B, `wrong` another word of the sequence. In the corrupted
    prompt A's earlier occurrence is another word, so that A has never been followed by anything.
    The shorter form "... A B ... A" is too hard for small models (SmolLM2-135M puts B first in
    one prompt of thirty), hence the words before A are repeated with it.

    >>> pair = Induction().example()
    >>> pair.clean[54:], pair.correct
    ('feather blanket drum cloud brown bottle paper eagle valley feather', (' blanket',))
    """

    name = "induction"
    description = "Say the word that followed the last one when it came before."
    source = "Olsson et al. 2022, arXiv 2209.11895"
    n_variants = len(SHAPES)
    min_words = 24
    word_lists: ClassVar[Words] = {"word": WORDS}

    def draw(self, rng: Random, variant: int, words: Words) -> PromptPair:
        length, place = SHAPES[variant]
        replacement, *sequence = rng.sample(words["word"], length + 1)
        replaced = [*sequence[:place], replacement, *sequence[place + 1 :]]
        repeated = sequence[: place + 1]
        distractors = [*sequence[:place], *sequence[place + 2 :]]
        labels = {place: CUE, place + 1: NEXT}
        parts = [(f" {word}", labels.get(at, SEQUENCE)) for at, word in enumerate(sequence)]
        parts += [(f" {word}", REPETITION) for word in repeated]
        clean, pieces = joined([(OPENING, ""), *parts])
        return PromptPair(
            clean=clean,
            corrupted=" ".join([OPENING, *replaced, *repeated]),
            correct=(f" {sequence[place + 1]}",),
            wrong=(f" {rng.choice(distractors)}",),
            template=variant,
            pieces=pieces,
        )
