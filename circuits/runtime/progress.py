"""How far work has come: its parts, counts of them, and notes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

Item = TypeVar("Item")
Stage = Callable[[str, float], None]
"""Hears of a stage's name and of the fraction of it that is done."""
Note = Callable[[str], None]


def _ignore_stage(stage: str, fraction: float) -> None:
    """Do nothing."""


def _ignore_note(text: str) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Progress:
    """Where a piece of work lies within a stage, and what is called with how far it has come.

    Attributes:
        hears: Called with a stage's name and the fraction of it that is done.
        notes: Called with a line that says what is done, or what it will take.
        name: The stage; without one, `hears` is not called.
        start: Where this work begins within the stage, 0 to 1.
        share: Which share of the stage it is, 0 to 1.

    >>> seen = []
    >>> whole = Progress(lambda stage, fraction: seen.append((stage, fraction))).stage("sweep")
    >>> for item, part in whole.each("ab"):
    ...     part(0.5)
    >>> seen
    [('sweep', 0.0), ('sweep', 0.25), ('sweep', 0.5), ('sweep', 0.75), ('sweep', 1.0)]
    """

    hears: Stage = _ignore_stage
    notes: Note = _ignore_note
    name: str = ""
    start: float = 0.0
    share: float = 1.0

    @classmethod
    def of(cls, given: Progress | Stage | None) -> Progress:
        """What a user gave: a progress, a function of stage and fraction, or nothing."""
        if isinstance(given, Progress):
            return given
        return SILENT if given is None else cls(given)

    def __call__(self, fraction: float | int) -> None:
        """Report which fraction of the work is done."""
        if self.name:
            # A part ends where the next begins, but for the rounding of sums.
            self.hears(self.name, round(self.start + self.share * fraction, 9))

    def note(self, text: str) -> None:
        """Pass a line on to `notes`."""
        self.notes(text)

    def stage(self, name: str) -> Progress:
        """The whole of another stage, which begins now."""
        found = replace(self, name=name, start=0.0, share=1.0)
        found(0.0)
        return found

    def within(self, low: float | int, high: float | int) -> Progress:
        """The part of this work from one fraction to another."""
        return replace(self, start=self.start + self.share * low, share=self.share * (high - low))

    def parts(self, *weights: float | int) -> tuple[Progress, ...]:
        """Parts one after another, as heavy as their weights."""
        total, done, found = sum(weights), 0.0, []
        for weight in weights:
            found.append(self.within(done / total, (done + weight) / total))
            done += weight
        return tuple(found)

    def each(
        self, items: Sequence[Item] | str, weights: Iterable[float | int] | None = None
    ) -> Iterator[tuple[Item, Progress]]:
        """Every item with its part of the work; a part is done when the next item is asked for."""
        heavy = [1.0] * len(items) if weights is None else list(weights)
        for item, part in zip(items, self.parts(*heavy) if items else (), strict=True):
            yield item, part  # type: ignore[misc]
            part(1.0)


SILENT = Progress()
"""Calls nothing."""
