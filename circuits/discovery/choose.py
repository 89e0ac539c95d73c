"""Which circuit: of rankings that were proposed, the smallest that keeps enough elsewhere."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, takewhile

import numpy as np
from jaxtyping import Float

from circuits.components import Head
from circuits.evaluation import Evaluator
from circuits.evaluation.sizes import HALF_SURE, SizeCurve, SizePoint
from circuits.runtime.progress import SILENT, Progress
from circuits.statistics.intervals import Bootstrap, Estimate

_STEP = 1.5
_MOST_REPORTED = 8
_RUNS = 384
"""Prompts of a set times heads that are run to see what leaving out each head costs."""
_LEAST_IN_TURN = 4
_MOST_GROUPS = _RUNS // _LEAST_IN_TURN
"""Of more heads, neighbours in the ranking are left out together."""


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
    _tried: dict[frozenset[Head], SizePoint] = field(default_factory=dict, init=False)

    def choose(
        self, orders: Mapping[str, Sequence[Head]], progress: Progress = SILENT
    ) -> SizeCurve:
        """Try circuits of every size; choose the smallest that keeps enough (`SizePoint.keeps`).

        Of the first ranking, circuits of some sizes are tried. From the smallest of these that
        keeps enough on, and then in each other ranking, the smallest is looked for by halving, as
        if more heads always kept more, and only among those smaller than what was found by then. Of
        what is found, heads are left out as long as it does without them. Then the first ranking is
        looked through once more for one of under half the size that keeps enough with half the
        margin.
        """
        along, halving, without = progress.parts(0.5, 0.2, 0.3)
        (first, order), *others = orders.items()
        best = self.along(first, order, along)
        for (name, order), part in halving.each(others):
            below = len(order) + 1 if best is None else len(best)
            best = self._smallest(name, order[: below - 1]) or best
            part(1.0)
        if best is not None:
            self._thin(best, orders)
            # Most are remembered.
            small = order[: (len(self.curve.point) - 1) // 2]
            if hardly := self.along(first, small, margin=HALF_SURE):
                self._thin(hardly, orders, HALF_SURE)
        without(1.0)
        return self.curve

    @property
    def curve(self) -> SizeCurve:
        """All circuits that were tried."""
        curve = SizeCurve.of(list(self._tried.values()), self.keep)
        return replace(curve, n_validation=len(self.validation.pairs))

    def along(
        self,
        name: str,
        order: Sequence[Head],
        progress: Progress = SILENT,
        margin: float = 1.0,
    ) -> SizePoint | None:
        """Circuits of some sizes of a ranking, and the smallest that keeps enough; None: none."""
        first, second = progress.parts(0.7, 0.3)
        points = self.tried(name, [frozenset(order[:n]) for n in _sizes(len(order))], first)
        too_few = list(takewhile(lambda point: not point.keeps(self.keep, margin), points))
        found = None
        if len(too_few) < len(points):
            enough = len(points[len(too_few)])
            known = max(map(len, too_few), default=0)
            found = self._smallest(name, order[:enough], known, margin)
        second(1.0)
        return found

    def tried(
        self, name: str, circuits: Sequence[frozenset[Head]], progress: Progress = SILENT
    ) -> list[SizePoint]:
        """Circuits on the prompts of the search and on those of validation.

        The more heads there are for each prompt of the search, the better they fit to it by chance:
        the less it counts, up to two heads for each, where it counts nothing. And the more errors
        are to spare: half of one up to a head for two prompts, two from a head for each on.
        """
        new = [heads for heads in circuits if heads not in self._tried]
        first, second = progress.parts(0.5, 0.5)
        runs = _runs(new, self.search, first), _runs(new, self.validation, second)
        crowds = [len(heads) / len(self.search.pairs) for heads in new]
        weights = np.array([max(0.0, 1 - crowd / 2) for crowd in crowds])
        columns = [_kept(runs[0]), _kept(runs[1]), _judged(*runs, weights)]
        for heads, crowd, *kept in zip(new, crowds, *columns, strict=True):
            spare = min(2.0, max(0.5, 2 * crowd**2))
            self._tried[heads] = SizePoint(name, heads, *kept, spare=spare)
        return [self._tried[heads] for heads in circuits]

    def _smallest(
        self, name: str, order: Sequence[Head], too_few: int = 0, margin: float = 1.0
    ) -> SizePoint | None:
        """The smallest circuit of the best heads of a ranking that keeps enough.

        None where all of them do not; so many are known to be too few.
        """

        def keeps(n: int) -> bool:
            return self.tried(name, [frozenset(order[:n])])[0].keeps(self.keep, margin)

        if not order or not keeps(len(order)):
            return None
        n = bisect_left(range(len(order)), True, lo=too_few + 1, key=keeps)
        return self._tried[frozenset(order[:n])]

    def _thin(
        self, point: SizePoint, orders: Mapping[str, Sequence[Head]], margin: float = 1.0
    ) -> None:
        """Leave out heads as long as enough is kept, in rounds: those first that cost least."""
        failures = 0
        for number in count():
            groups = _groups(point.heads, orders[point.ranking])
            cheapest = self._cheapest_first(point.heads, groups, number)
            n = self._n_without(point, cheapest, margin)
            point = self._without(point, cheapest[:n])
            # The next prompts in turn may see better what costs little.
            failures = 0 if n else failures + 1
            if failures * self._n_in_turn(len(groups)) >= len(self.search.pairs):
                return

    def _n_in_turn(self, n_groups: int) -> int:
        """On how many prompts it is found out what leaving out each of so many groups costs."""
        return min(len(self.search.pairs), max(_LEAST_IN_TURN, _RUNS // n_groups))

    def _cheapest_first(
        self, heads: frozenset[Head], groups: Sequence[Sequence[Head]], number: int
    ) -> list[Head]:
        """Some heads by what leaving out their group costs, on some prompts of both sets in turn.

        By validation alone, the first to go would be one that is lucky there.
        """
        without = [heads.difference(group) for group in groups]
        n, kept = self._n_in_turn(len(groups)), np.zeros(len(groups))
        for on in (self.search, self.validation):
            # What is run on all prompts is remembered, and asked for again when it is tried.
            is_all = n >= len(on.pairs)
            runs = on.metrics(without) if is_all else on.run(on.pairs.in_turn(n, number), without)
            kept += runs.cpu().double().mean(1).numpy() / on.full_metric
        return [head for place in kept.argsort(kind="stable")[::-1] for head in groups[place]]

    def _n_without(self, point: SizePoint, cheapest: Sequence[Head], margin: float) -> int:
        """How many of the first heads can be left out, as if more of them always cost more."""

        def costs_too_much(n: int) -> bool:
            return not self._without(point, cheapest[:n]).keeps(self.keep, margin)

        most = len(cheapest)
        doubled = takewhile(lambda n: n < most, (2**power for power in count()))
        most = next(filter(costs_too_much, doubled), most)
        return bisect_left(range(most), True, lo=most // 2 + 1, key=costs_too_much) - 1

    def _without(self, point: SizePoint, heads: Sequence[Head]) -> SizePoint:
        return self.tried(point.ranking, [point.heads - set(heads)])[0]


def with_held_out(sizes: SizeCurve, on: Evaluator, progress: Progress = SILENT) -> SizeCurve:
    """The same with what the best circuits, of sizes about the chosen one, keep on other prompts.

    >>> kept = Estimate(91.0, 84.0, 96.0)
    >>> point = SizePoint("attribution", circuit.heads, kept, kept, kept)
    >>> sizes = SizeCurve.of([point], keep=85)
    >>> with_held_out(sizes, evaluator).point.held_out is None
    False
    """

    def kept(points: Sequence[SizePoint]) -> list[Estimate]:
        return kept_on([point.heads for point in points], on, progress)

    return sizes.with_held_out(kept, len(on.pairs), _MOST_REPORTED)


def kept_on(
    circuits: Sequence[frozenset[Head]], on: Evaluator, progress: Progress = SILENT
) -> list[Estimate]:
    """Percent of the metric that circuits keep on some prompts, with intervals over these.

    >>> [one.value for one in kept_on([evaluator.everything], evaluator)]
    [100.0]
    """
    return _kept(_runs(circuits, on, progress))


def _runs(
    circuits: Sequence[frozenset[Head]], on: Evaluator, progress: Progress = SILENT
) -> Float[np.ndarray, "run prompt"]:
    """The metric of the model itself, and of circuits."""
    return on.metrics([on.everything, *circuits], progress=progress).numpy()


def _kept(runs: Float[np.ndarray, "run prompt"]) -> list[Estimate]:
    """Percent of the metric, with intervals over the prompts."""
    return Bootstrap().estimates(lambda means: 100 * means[1:] / means[:1], runs)


def _judged(
    search: Float[np.ndarray, "run _"],
    validation: Float[np.ndarray, "run _"],
    weights: Float[np.ndarray, " circuit"],
) -> list[Estimate]:
    """The same of both sets of prompts, of which those of the search count as their weights say."""

    def figures(
        found: Float[np.ndarray, "run *resample"], other: Float[np.ndarray, "run *resample"]
    ) -> Float[np.ndarray, "circuit *resample"]:
        weight = weights.reshape(-1, *[1] * (found.ndim - 1))
        return 100 * (weight * found[1:] + other[1:]) / (weight * found[:1] + other[:1])

    return Bootstrap().estimates(figures, search, validation)


def _groups(heads: frozenset[Head], order: Sequence[Head]) -> list[list[Head]]:
    """Each head by itself, or where there are many with its neighbours in a ranking."""
    ranked = [head for head in order if head in heads]
    size = -(-len(ranked) // _MOST_GROUPS)
    return sorted(ranked[start : start + size] for start in range(0, len(ranked), size))


def _sizes(most: int) -> list[int]:
    """Every small number of heads, and about every second more of large ones."""
    sizes = [min(1, most)]
    while sizes[-1] < most:
        sizes.append(min(most, max(sizes[-1] + 1, round(sizes[-1] * _STEP))))
    return [size for size in sizes if size]
