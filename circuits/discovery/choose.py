"""Which heads: rankings of all sizes proposed on the search's prompts, chosen on others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count, takewhile

import torch

from circuits.ablation import ablated_metric, kept_mask, weighted_gradients
from circuits.components import Head
from circuits.discovery.session import Session
from circuits.evaluation import Evaluator
from circuits.evaluation.sizes import SizeCurve, SizePoint
from circuits.runtime.progress import SILENT, Progress
from circuits.scores import mask_scores
from circuits.search.in_context import thinned
from circuits.statistics.intervals import Bootstrap, Estimate

IN_CONTEXT, ONCE = "in-context", "mask-attribution"
_WEIGHT = 0.75
"""Where slopes are taken in a circuit: near its own heads, short of where they saturate."""
_FEW = 40
"""So many heads are left out one by one; among more, slopes say what leaving each out costs."""
_RUNS = 64
"""Prompts times heads that are run in a round of those."""
_LEAST = 3
_LEFT_OUT = 12
"""Of how many heads it is tried whether a circuit that was chosen does without them."""
_MARGIN, _MORE = 1.1, 1.5
"""The heads to begin with: this many times those that keep so much more than is asked for."""


class Chooser:
    """Heads of one session, chosen for the company they keep.

    Attributes:
        evaluator: On the prompts of the search.
        keep: Percent of the metric that is to be kept.

    >>> session = Session.of(model, task, config)
    >>> chooser = Chooser(session, session.evaluator(), keep=70)
    >>> list(chooser.rank())
    ['in-context', 'mask-attribution']

    """

    def __init__(self, session: Session, evaluator: Evaluator, keep: float | int) -> None:
        """Choose the smallest circuit that keeps so many percent."""
        self.session, self.evaluator, self.keep = session, evaluator, keep
        self.model, self.means = evaluator.model, evaluator.means

    def rank(self, progress: Progress = SILENT) -> dict[str, tuple[Head, ...]]:
        """Heads, the best first, by each ranking."""
        once, rounds = progress.parts(0.4, 0.6)
        scores = mask_scores(self.session.activations, self.means).mean
        by_head = {head: float(scores[head.layer, head.index]) for head in self.session.graph.heads}
        best = sorted(by_head, key=lambda head: (-by_head[head], head))
        begin = best[: self._n_to_begin_with(best)]
        once(1.0)
        first = {head: by_head[head] for head in begin}

        def scores_among(heads: tuple[Head, ...], round_number: int) -> Sequence[float]:
            rounds(1 - len(heads) / len(begin))
            if len(heads) > _FEW:
                return self._slopes(heads)
            return self._removals(heads, round_number)

        least = min(_LEAST, len(begin))
        return {IN_CONTEXT: thinned(first, scores_among, least=least), ONCE: tuple(begin)}

    def _n_to_begin_with(self, best: Sequence[Head]) -> int:
        """Some more heads than the scores alone would need."""
        n_heads = len(best)
        for n in takewhile(lambda n: n < n_heads, (round(12 * 1.5**step) for step in count())):
            if self.evaluator.performance(frozenset(best[:n])) >= _MARGIN * self.keep:
                return min(n_heads, round(_MORE * n))
        return n_heads

    def _slopes(self, heads: tuple[Head, ...]) -> list[float]:
        (kept,) = kept_mask([frozenset(heads)], self.model.n_layers, self.model.n_heads)
        total = torch.zeros(kept.shape, dtype=torch.float64)
        for batch in self.session.activations.batches:
            metric = self.session.metric
            run = weighted_gradients(self.model, batch.pairs, self.means, kept, _WEIGHT, metric)
            total += run.gradients.double().sum(0)
        return [float(total[h.layer, h.index]) / len(self.session.pairs) for h in heads]

    def _removals(self, heads: tuple[Head, ...], round_number: int) -> list[float]:
        pairs, together = self.session.pairs, frozenset(heads)
        n = min(len(pairs), max(2, _RUNS // len(heads)))
        rows = torch.arange(n).add(round_number * n).remainder(len(pairs))
        circuits = [together, *(together - {head} for head in heads)]
        found = ablated_metric(self.model, pairs[rows], self.means, circuits, self.session.metric)
        means = found.double().mean(1)
        return (means[0] - means[1:]).tolist()

    def choose(
        self,
        orders: Mapping[str, Sequence[Head]],
        validation: Evaluator,
        progress: Progress = SILENT,
    ) -> SizeCurve:
        """Try circuits of every size on validation prompts; the smallest that keeps enough.

        Of rankings behind the first no circuit is tried that is as large as what was found by then.
        What is chosen must keep enough on the prompts of the search, too; and of it, heads are left
        out one by one as long as it does without them.
        """
        points: list[SizePoint] = []
        for (name, order), part in progress.each(list(orders.items())):
            found = [len(point) for point in points if point.keeps(self.keep)]
            below = min(found, default=len(order) + 1)
            circuits = [frozenset(order[:n]) for n in _sizes(len(order)) if n < below]
            points += self._tried(name, circuits, validation, part)
        curve = self._checked(points)
        while True:
            size = len(curve.point)
            curve = self._checked([*curve.points, *self._smaller(curve.point, orders, validation)])
            if len(curve.point) == size:
                return curve

    def _smaller(
        self, point: SizePoint, orders: Mapping[str, Sequence[Head]], on: Evaluator
    ) -> list[SizePoint]:
        """The circuit without each of its heads, of many those that come last."""
        worst = [head for head in reversed(orders[point.ranking]) if head in point.heads]
        circuits = [point.heads - {head} for head in worst[:_LEFT_OUT] if len(point) > 1]
        return self._tried(point.ranking, circuits, on, SILENT) if circuits else []

    def _tried(
        self, name: str, circuits: list[frozenset[Head]], on: Evaluator, progress: Progress
    ) -> list[SizePoint]:
        kept = _kept(circuits, on, progress)
        return [SizePoint(name, *row) for row in zip(circuits, kept, strict=True)]

    def _checked(self, points: Sequence[SizePoint]) -> SizeCurve:
        """The choice, once it holds on the prompts of the search."""
        curve = SizeCurve.of(points, self.keep)
        while curve.point.search is None:
            search = self.evaluator.performance(curve.point.heads)
            points = [
                replace(one, search=search) if one is curve.point else one for one in curve.points
            ]
            curve = SizeCurve.of(points, self.keep)
        return curve


def with_held_out(sizes: SizeCurve, on: Evaluator, progress: Progress = SILENT) -> SizeCurve:
    """The same with what the best circuit of each size keeps on other prompts.

    >>> kept = Estimate(91.0, 84.0, 96.0)
    >>> sizes = SizeCurve.of([SizePoint("attribution", circuit.heads, kept)], keep=85)
    >>> with_held_out(sizes, evaluator).point.held_out is None
    False
    """
    best = [point for point in sizes.points if point in (*sizes.front, sizes.point)]
    kept = iter(_kept([point.heads for point in best], on, progress))
    points = [replace(one, held_out=next(kept)) if one in best else one for one in sizes.points]
    return replace(sizes, points=tuple(points))


def _kept(circuits: list[frozenset[Head]], on: Evaluator, progress: Progress) -> list[Estimate]:
    """Percent of the metric, with intervals over the prompts."""
    runs = on.metrics([on.everything, *circuits], progress=progress).numpy()
    return Bootstrap().estimates(lambda means: 100 * means[1:] / means[:1], runs)


def _sizes(most: int) -> list[int]:
    """Every small number of heads, and about every tenth more of large ones."""
    sizes = [1]
    while sizes[-1] < most:
        sizes.append(min(most, max(sizes[-1] + 1, round(sizes[-1] * 1.1))))
    return sizes
