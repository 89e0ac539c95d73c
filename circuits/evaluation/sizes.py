"""What circuits of every size keep, and the smallest of them that keeps enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log

from circuits.errors import InputError
from circuits.fields import HeadSet
from circuits.statistics.intervals import Estimate

HALF_SURE = 0.5
"""The share of the margin that does where the whole of it takes more than twice as many heads."""
_ERRORS_WIDE = 4
"""A 95 % interval, in standard errors."""


@dataclass(frozen=True)
class SizePoint:
    """A circuit that was tried.

    Attributes:
        ranking: What proposed it.
        heads: Its heads.
        search: Percent of the model's metric that it keeps on the prompts it was searched on.
        validation: The same on the prompts that sizes are chosen by.
        judged: The same on both, as the choice rests on them.
        held_out: The same on prompts that neither search nor choice has seen; None where that was
            not measured.
        spare: How many standard errors of `judged` the choice asks for beyond what is to be kept.

    >>> kept = Estimate(91.0, 84.0, 96.0)
    >>> point = SizePoint("attribution", circuit.heads, kept, kept, kept)
    >>> len(point) == len(circuit), point.keeps(85), point.keeps(90), point.held_out is None
    (True, True, False, True)
    """

    ranking: str
    heads: HeadSet
    search: Estimate
    validation: Estimate
    judged: Estimate
    held_out: Estimate | None = None
    spare: float | int = 1

    def __len__(self) -> int:
        """How many heads it has."""
        return len(self.heads)

    @property
    def unit(self) -> str:
        """What its size counts."""
        return "heads"

    @property
    def measure(self) -> str:
        """What is kept in percent."""
        return "performance"

    @property
    def surely(self) -> float:
        """What it keeps as far as the choice rests on it, less the errors that are to spare."""
        return self._with_to_spare(1.0)

    def keeps(self, percent: float | int, margin: float = 1.0) -> bool:
        """Whether it surely keeps so much; with less than 1, with a share of the errors to spare.

        >>> point = SizePoint("attribution", frozenset(), *[Estimate(88.0, 80.0, 96.0)] * 3)
        >>> point.keeps(85), point.keeps(85, margin=0.5)
        (False, True)
        """
        return self._with_to_spare(margin) >= percent

    def _with_to_spare(self, margin: float) -> float:
        error = (self.judged.high - self.judged.low) / _ERRORS_WIDE
        return self.judged.value - margin * self.spare * error


@dataclass(frozen=True, kw_only=True)
class EdgePoint(SizePoint):
    """A circuit of edges that was tried: what it keeps is its faithfulness, in percent.

    Attributes:
        n_ranked: How many of the best edges of the ranking were taken.
        n_edges: How many of these lead from the embedding to the logits.

    >>> kept = Estimate(91.0, 84.0, 96.0)
    >>> point = EdgePoint("eap-ig", frozenset(), kept, kept, kept, n_ranked=40, n_edges=36)
    >>> len(point), point.unit
    (36, 'edges')
    """

    n_ranked: int
    n_edges: int

    def __len__(self) -> int:
        """How many edges it has."""
        return self.n_edges

    @property
    def unit(self) -> str:
        """What its size counts."""
        return "edges"

    @property
    def measure(self) -> str:
        """What is kept in percent."""
        return "faithfulness"


@dataclass(frozen=True)
class SizeCurve:
    """All circuits that were tried, and which was chosen.

    Attributes:
        keep: Percent of the metric that was asked for.
        points: By rising size.
        chosen: Which of them was chosen.
        n_validation: How many prompts sizes were chosen by.
        n_held_out: How many were reported on.

    >>> points = []
    >>> for size, kept in ((1, 40.0), (2, 88.0), (4, 98.0)):
    ...     heads, around = {Head(0, n) for n in range(size)}, Estimate(kept, kept - 5, kept + 5)
    ...     points.append(SizePoint("attribution", frozenset(heads), around, around, around))
    >>> curve = SizeCurve.of(points, keep=85)
    >>> len(curve.point), len(curve.at(keep=95)), len(curve.at(heads=3))
    (2, 4, 2)
    """

    keep: float | int
    points: tuple[EdgePoint | SizePoint, ...]
    chosen: int
    n_validation: int = 0
    n_held_out: int = 0

    @classmethod
    def of(cls, points: Sequence[SizePoint], keep: float | int) -> SizeCurve:
        """Choose the smallest circuit that keeps so much; without any, the one that keeps most.

        Half of the margin does where the whole of it takes more than twice as many heads.
        """
        rising = tuple(sorted(points, key=lambda point: (len(point), -point.surely)))
        return cls(keep, rising, rising.index(_smallest(rising, keep)))

    @property
    def point(self) -> SizePoint:
        """The circuit that was chosen."""
        return self.points[self.chosen]

    @property
    def reaches(self) -> bool:
        """Whether any circuit surely keeps what was asked for."""
        return _reached(self.points, self.keep)

    @property
    def margin(self) -> float:
        """The share of its errors to spare that the chosen circuit was judged with."""
        return HALF_SURE if self.reaches and not self.point.keeps(self.keep) else 1.0

    @cached_property
    def front(self) -> tuple[SizePoint, ...]:
        """The circuits than which no smaller one surely keeps as much."""
        found: list[SizePoint] = []
        for point in self.points:
            if not found or point.surely > found[-1].surely:
                found.append(point)
        return tuple(found)

    def with_held_out(
        self, kept: Callable[[Sequence[SizePoint]], Sequence[Estimate]], n_prompts: int, most: int
    ) -> SizeCurve:
        """The same with what the best circuits, of sizes about the chosen one, keep elsewhere.

        Args:
            kept: From circuits to what each keeps on held-out prompts.
            n_prompts: How many these are.
            most: How many circuits of the front there are; the chosen one is always.

        """

        def distance(point: SizePoint) -> float:
            # Of edges that all lead nowhere none is left.
            return abs(log(max(1, len(point)) / max(1, len(self.point))))

        near = sorted(self.front, key=distance)[:most]
        best = [point for point in self.points if point in near or point is self.point]
        found = iter(kept(best))
        points = [replace(one, held_out=next(found)) if one in best else one for one in self.points]
        return replace(self, points=tuple(points), n_held_out=n_prompts)

    def at(
        self,
        *,
        keep: float | int | None = None,
        heads: int | None = None,
        edges: int | None = None,
    ) -> SizePoint:
        """Another circuit of those that were tried; of those run on held-out prompts, if any were.

        Args:
            keep: The smallest that surely keeps so many percent.
            heads: The one of at most so many heads that keeps most.
            edges: The one of at most so many edges that keeps most, where edges were chosen.

        Raises:
            InputError: None or several are given, or there is no such circuit.

        """
        unit = self.point.unit
        size, other = (edges, heads) if unit == "edges" else (heads, edges)
        if (keep is None) == (size is None) or other is not None:
            raise InputError(f"give either keep (percent of the metric) or {unit} (how many)")
        run = [point for point in self.points if point.held_out is not None]
        points = run or list(self.points)
        if keep is not None:
            point = _smallest(points, keep)
            if not _reached(points, keep):
                most = max(point.surely for point in points)
                raise InputError(
                    f"no circuit that was tried surely keeps {keep:g} %: the most is {most:.1f} %, "
                    f"with {len(point)} {unit}; ask for less, or discover with a larger keep"
                )
            return point
        few = [point for point in points if size is not None and len(point) <= size]
        if not few:
            smallest = len(points[0])
            raise InputError(
                f"no circuit of at most {size} {unit} was tried: the smallest has {smallest}; ask "
                "for at least that"
            )
        return max(few, key=lambda point: point.surely)


def _reached(points: Sequence[SizePoint], keep: float | int) -> bool:
    return any(point.keeps(keep) for point in points)


def _smallest(rising: Sequence[SizePoint], keep: float | int) -> SizePoint:
    if not _reached(rising, keep):
        return max(rising, key=lambda point: point.surely)
    surely, hardly = (
        next(point for point in rising if point.keeps(keep, margin)) for margin in (1.0, HALF_SURE)
    )
    return hardly if len(surely) > 2 * len(hardly) else surely
