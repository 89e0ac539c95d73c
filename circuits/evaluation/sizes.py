"""What circuits of every size keep, and the smallest of them that keeps enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from circuits.errors import InputError
from circuits.fields import HeadSet
from circuits.statistics.intervals import Estimate


@dataclass(frozen=True)
class SizePoint:
    """A circuit that was tried.

    Attributes:
        ranking: What proposed it.
        heads: Its heads.
        validation: Percent of the model's metric that it keeps on the prompts that sizes are chosen
            by.
        search: The same on the prompts it was searched on; None where that was not measured.
        held_out: The same on prompts that neither search nor choice has seen; None likewise.

    >>> point = SizePoint("attribution", circuit.heads, Estimate(91.0, 84.0, 96.0))
    >>> len(point) == len(circuit), point.keeps(85), point.held_out is None
    (True, True, True)
    """

    ranking: str
    heads: HeadSet
    validation: Estimate
    search: float | None = None
    held_out: Estimate | None = None

    def __len__(self) -> int:
        """How many heads it has."""
        return len(self.heads)

    def keeps(self, percent: float | int) -> bool:
        """Whether it holds so much, wherever that was measured before the choice."""
        return self.least >= percent

    @property
    def least(self) -> float:
        """What it keeps on validation prompts, or on those of the search where that is less."""
        return min(self.validation.value, math.inf if self.search is None else self.search)


@dataclass(frozen=True)
class SizeCurve:
    """All circuits that were tried, and which was chosen.

    Attributes:
        keep: Percent of the metric that was asked for.
        points: By rising size.
        chosen: Which of them was chosen.
        n_validation: How many prompts sizes were chosen by.
        n_held_out: How many were reported on.

    >>> points = [SizePoint("attribution", frozenset({Head(0, n) for n in range(size)}),
    ...     Estimate(kept, kept - 5, kept + 5)) for size, kept in ((1, 40.0), (2, 86.0), (4, 97.0))]
    >>> curve = SizeCurve.of(points, keep=85)
    >>> len(curve.point), len(curve.at(keep=95)), len(curve.at(heads=3))
    (2, 4, 2)
    """

    keep: float | int
    points: tuple[SizePoint, ...]
    chosen: int
    n_validation: int = 0
    n_held_out: int = 0

    @classmethod
    def of(cls, points: Sequence[SizePoint], keep: float | int) -> SizeCurve:
        """Choose the smallest circuit that keeps so much; without any, the one that keeps most."""
        rising = tuple(sorted(points, key=lambda point: (len(point), -point.validation.value)))
        return cls(keep, rising, rising.index(_smallest(rising, keep)))

    @property
    def point(self) -> SizePoint:
        """The circuit that was chosen."""
        return self.points[self.chosen]

    @property
    def reaches(self) -> bool:
        """Whether the chosen circuit keeps what was asked for."""
        return self.point.keeps(self.keep)

    @cached_property
    def front(self) -> tuple[SizePoint, ...]:
        """The circuits than which no smaller one keeps as much on validation prompts."""
        found: list[SizePoint] = []
        for point in self.points:
            if not found or point.validation.value > found[-1].validation.value:
                found.append(point)
        return tuple(found)

    def at(self, *, keep: float | int | None = None, heads: int | None = None) -> SizePoint:
        """Another circuit of those that were tried.

        Args:
            keep: The smallest that keeps so many percent.
            heads: The one of at most so many heads that keeps most.

        Raises:
            InputError: Neither or both are given, or there is no such circuit.

        """
        if (keep is None) == (heads is None):
            raise InputError("give either keep (percent of the metric) or heads (how many)")
        if keep is not None:
            point = _smallest(self.points, keep)
            if not point.keeps(keep):
                most = max(point.least for point in self.points)
                raise InputError(
                    f"no circuit that was tried keeps {keep:g} %: the most is {most:.1f} %, with "
                    f"{len(point)} heads; ask for less, or discover with a larger keep"
                )
            return point
        few = [point for point in self.front if heads is not None and len(point) <= heads]
        if not few:
            smallest = len(self.points[0])
            raise InputError(
                f"no circuit of at most {heads} heads was tried: the smallest has {smallest}; ask "
                "for at least that"
            )
        return few[-1]


def _smallest(rising: Sequence[SizePoint], keep: float | int) -> SizePoint:
    enough = next((point for point in rising if point.keeps(keep)), None)
    most = max(rising, key=lambda point: point.least)
    return most if enough is None else enough
