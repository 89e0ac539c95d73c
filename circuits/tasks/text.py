"""A contrastive pair as text."""

from __future__ import annotations

from dataclasses import dataclass

NO_ANSWER = -1
"""Fills the rows of `PromptPairs.correct` and `PromptPairs.wrong` that hold fewer answers."""


_SHOWN = 60


@dataclass(frozen=True)
class PromptPair:
    """One contrastive pair as text, before tokenization.

    Attributes:
        clean: The prompt that lets a model do the task.
        corrupted: The prompt of the same shape that has lost the information.
        correct: The right next strings after `clean`, with their leading space if they have one.
        wrong: The strings that `correct` is compared with.
        template: Label of the pairs whose positions line up, for means over prompts.

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


def shown_text(text: str) -> str:
    """A text for an error: in quotes, cut where it is long."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}..."
