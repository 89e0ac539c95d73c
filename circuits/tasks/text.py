"""A contrastive pair as text, and the named pieces that it is put together from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import Formatter

NO_ANSWER = -1
"""Fills the rows of `PromptPairs.correct` and `PromptPairs.wrong` that hold fewer answers."""


@dataclass(frozen=True)
class Piece:
    """A part of a clean prompt that has a name, such as the first of two names.

    Attributes:
        label: What it is called.
        start: Its first character, counted from 0.
        stop: The character behind its last one.

    >>> piece = Piece("name 1", 5, 9)
    >>> "When Mary and John"[piece.start : piece.stop]
    'Mary'
    """

    label: str
    start: int
    stop: int


@dataclass(frozen=True)
class PromptPair:
    """One contrastive pair as text, before tokenization.

    Attributes:
        clean: The prompt that lets a model do the task.
        corrupted: The prompt of the same shape that has lost the information.
        correct: The right next strings after `clean`, with their leading space if they have one.
        wrong: The strings that `correct` is compared with.
        template: Label of the pairs whose positions line up, for means over prompts.
        pieces: Parts of the clean prompt that have names; the corrupted one has the same shape.

    >>> pair = PromptPair(
    ...     clean="When Mary and John went to the store, John gave a drink to",
    ...     corrupted="When Anna and Paul went to the store, Mark gave a drink to",
    ...     correct=(" Mary",),
    ...     wrong=(" John",),
    ... )
    >>> pair.clean.endswith("gave a drink to")
    True
    """

    clean: str
    corrupted: str
    correct: tuple[str, ...]
    wrong: tuple[str, ...]
    template: int = 0
    pieces: tuple[Piece, ...] = ()


def joined(parts: Iterable[tuple[str, str]]) -> tuple[str, tuple[Piece, ...]]:
    """A text of parts and their labels, and where those are that have one.

    >>> joined([("When ", ""), ("Mary", "name 1"), (" came", "")])
    ('When Mary came', (Piece(label='name 1', start=5, stop=9),))
    """
    text, pieces = "", []
    for part, label in parts:
        if label and part:
            pieces.append(Piece(label, len(text), len(text) + len(part)))
        text += part
    return text, tuple(pieces)


def filled(
    body: str, values: Mapping[str, str], labels: Mapping[str, str]
) -> tuple[str, tuple[Piece, ...]]:
    """A format string with its fields filled in, and where those are that have a label.

    >>> filled("When {first} came", {"first": "Mary"}, {"first": "name 1"})[1]
    (Piece(label='name 1', start=5, stop=9),)
    """
    parts: list[tuple[str, str]] = []
    for text, name, _, _ in Formatter().parse(body):
        parts.append((text, ""))
        if name is not None:
            parts.append((values[name], labels.get(name, "")))
    return joined(parts)
