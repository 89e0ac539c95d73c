"""Which circuit: of rankings that were proposed, the smallest that keeps enough elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from circuits.components import Head
from circuits.evaluation import Evaluator
from circuits.evaluation.sizes import SizeCurve, SizePoint
from circuits.runtime.progress import SILENT, Progress
from circuits.statistics.intervals import Bootstrap, Estimate

_LEFT_OUT = 12
"""Of how many heads it is tried whether a circuit that was chosen does without them."""
_STEP = 1.35
_MOST_REPORTED = 12


@dataclass(frozen=True, eq=False)
class Chooser:
    """Circuits of every size, tried on prompts that they were not searched on.

    Attributes:
        keep: Percent of the metric that is to be kept.
        search: The model on the prompts of the search.
        validation: The same on those that sizes are chosen by.

    >>> chooser = Chooser(70, evaluator, evaluator)
    >>> len(chooser.choose({"by number": sorted(evaluator.everything)}).point)
    12
    """

    keep: float | int
    search: Evaluator
    validation: Evaluator

    def choose(
        self, orders: Mapping[str, Sequence[Head]], progress: Progress = SILENT
    ) -> SizeCurve:
        """Try circuits of every size on validation prompts; the smallest that keeps enough.

        Of rankings behind the first no circuit is tried that is as large as what was found by then.
        What is chosen must keep enough on the prompts of the search, too; and of it, heads are left
        out one by one as long as it does without them.
        """
        points: list[SizePoint] = []
        for (name, order), part in progress.each(list(orders.items())):
            found = [len(point) for point in points if point.keeps(self.keep)]
            points += self._along(name, order[: min(found, default=len(order) + 1) - 1], part)
        curve = self._checked(points)
        while True:
            size = len(curve.point)
            curve = self._checked([*curve.points, *self._smaller(curve.point, orders)])
            if len(curve.point) == size:
                return replace(curve, n_validation=len(self.validation.pairs))

    def _along(self, name: str, order: Sequence[Head], progress: Progress) -> list[SizePoint]:
        """Circuits of a ranking: some of every size, and all about the size that is needed."""
        coarse = _sizes(len(order))
        first, second = progress.parts(0.8, 0.2)
        points = self._tried(name, [frozenset(order[:n]) for n in coarse], first)
        enough = next((len(point) for point in points if point.keeps(self.keep)), None)
        if enough is None:
            return points
        below = max((n for n in coarse if n < enough), default=0)
        between = [frozenset(order[:n]) for n in range(below + 1, enough)]
        return points + self._tried(name, between, second)

    def _smaller(self, point: SizePoint, orders: Mapping[str, Sequence[Head]]) -> list[SizePoint]:
        """The circuit without each of its heads, of many those that come last."""
        worst = [head for head in reversed(orders[point.ranking]) if head in point.heads]
        circuits = [point.heads - {head} for head in worst[:_LEFT_OUT] if len(point) > 1]
        return self._tried(point.ranking, circuits, SILENT)

    def _tried(
        self, name: str, circuits: list[frozenset[Head]], progress: Progress
    ) -> list[SizePoint]:
        kept = _kept(circuits, self.validation, progress)
        return [SizePoint(name, *row) for row in zip(circuits, kept, strict=True)]

    def _checked(self, points: Sequence[SizePoint]) -> SizeCurve:
        """The choice, once it holds on the prompts of the search."""
        curve = SizeCurve.of(points, self.keep)
        while curve.point.search is None:
            search = self.search.performance(curve.point.heads)
            points = [
                replace(one, search=search) if one is curve.point else one for one in curve.points
            ]
            curve = SizeCurve.of(points, self.keep)
        return curve


def with_held_out(sizes: SizeCurve, on: Evaluator, progress: Progress = SILENT) -> SizeCurve:
    """The same with what the best circuits of some sizes keep on other prompts.

    >>> kept = Estimate(91.0, 84.0, 96.0)
    >>> sizes = SizeCurve.of([SizePoint("attribution", circuit.heads, kept)], keep=85)
    >>> with_held_out(sizes, evaluator).point.held_out is None
    False
    """
    front = sizes.front
    spread = {front[i * (len(front) - 1) // (_MOST_REPORTED - 1)] for i in range(_MOST_REPORTED)}
    best = [point for point in sizes.points if point in spread or point is sizes.point]
    kept = iter(_kept([point.heads for point in best], on, progress))
    points = [replace(one, held_out=next(kept)) if one in best else one for one in sizes.points]
    return replace(sizes, points=tuple(points), n_held_out=len(on.pairs))


def _kept(circuits: list[frozenset[Head]], on: Evaluator, progress: Progress) -> list[Estimate]:
    """Percent of the metric, with intervals over the prompts."""
    if not circuits:
        return []
    runs = on.metrics([on.everything, *circuits], progress=progress).numpy()
    return Bootstrap().estimates(lambda means: 100 * means[1:] / means[:1], runs)


def _sizes(most: int) -> list[int]:
    """Every small number of heads, and about every third more of large ones."""
    sizes = [min(1, most)]
    while sizes[-1] < most:
        sizes.append(min(most, max(sizes[-1] + 1, round(sizes[-1] * _STEP))))
    return [size for size in sizes if size]
