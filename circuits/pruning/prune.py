"""From head scores to candidate heads: sparsity curve, cliff, merge. Knows no model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from torch import Tensor

from circuits.components import Head
from circuits.fields import HeadSet
from circuits.pruning.rule import CliffRule, PruningRule
from circuits.runtime.progress import SILENT, Progress

PerformanceOf = Callable[[Sequence[frozenset[Head]], Progress], Sequence[float]]
"""Performance in percent of the full model for each of several sets of kept heads."""

_WINDOW_SHARE = 0.1
_DROP_SHARE = 0.1


@dataclass(frozen=True)
class Pruning:
    """One pruned set of heads and the curve that decided how large it is.

    Attributes:
        candidates: The heads kept.
        sparsities: Those evaluated, rising; they need not be evenly spaced.
        performances: Percent of the full model's metric at each of them.
        cut: Index of the sparsity that the candidates were kept at.

    >>> pruning = Pruning(frozenset({Head(9, 6)}), (0.95, 0.97, 0.99), (92.0, 88.0, 31.0), cut=1)
    >>> pruning.performance
    88.0
    """

    candidates: HeadSet
    sparsities: tuple[float, ...]
    performances: tuple[float, ...]
    cut: int

    @property
    def performance(self) -> float:
        """Percent of the full model's metric that the candidates keep."""
        return self.performances[self.cut]


def prune(
    scores: Float[Tensor, "layer head"],
    rule: PruningRule,
    performance_of: PerformanceOf,
    progress: Progress = SILENT,
) -> Pruning:
    """Keep the best-scored heads at the sparsity just before performance falls.

    For the `first` drop sparsities rise until it is certain; behind it only the highest and one in
    each window are evaluated, for the range that the drop is measured against. The cut is that of
    the full curve whenever the points left out do not widen this range.

    Args:
        scores: Larger for heads that are more worth keeping.
        rule: Which sparsities to try, and where to cut.
        performance_of: Called with several sets of kept heads; percent of the full model's metric
            for each.
        progress: Hears of the fraction of the sparsities that are evaluated.

    >>> def performance_of(kept, progress):
    ...     return [100.0 if Head(1, 0) in heads else 10.0 for heads in kept]
    >>> scores = torch.tensor([[4.0, 1.0], [3.0, 2.0]])
    >>> pruning = prune(scores, PruningRule("biggest", 0.0, 0.8, 0.25), performance_of)
    >>> sorted(map(str, pruning.candidates)), pruning.performances
    (['0.0', '1.0'], (100.0, 100.0, 100.0, 10.0))
    """
    sparsities = sparsities_of(rule, scores)
    curve = _Curve([keep_best(scores, sparsity) for sparsity in sparsities], performance_of)
    if rule.cliff == "first" and not rule.full_curve:
        curve.evaluate_until_certain(progress)
    else:
        curve.evaluate(range(len(curve.kept)), progress)
    progress(1.0)
    points = sorted(curve.known)
    # Up to the cut every point is known, so that it is the same index in both.
    cut = curve.first_cut() if len(points) < len(curve.kept) else None
    performances = tuple(curve.known[point] for point in points)
    cut = find_cliff(performances, rule.cliff) if cut is None else cut
    return Pruning(curve.kept[cut], tuple(sparsities[p] for p in points), performances, cut)


def merged_candidates(prunings: Mapping[str, Pruning]) -> frozenset[Head] | None:
    """The heads that any pruning keeps; None where nothing was pruned.

    >>> merged_candidates(found.prunings) == found.candidates
    True
    """
    if not prunings:
        return None
    return frozenset().union(*(pruning.candidates for pruning in prunings.values()))


def sparsities_of(rule: PruningRule, scores: Float[Tensor, "layer head"]) -> tuple[float, ...]:
    """The sparsities that a rule tries, rising; without a curve the one that it cuts at.

    >>> sparsities_of(PruningRule(lowest_sparsity=0.6, highest_sparsity=0.9, step=0.1), scores)
    (0.6, 0.7, 0.8, 0.9)
    >>> sparsities_of(PruningRule("fixed", fixed_sparsity=0.75), scores)
    (0.75,)
    """
    if rule.cliff == "fixed":
        return (rule.fixed_sparsity,)
    if rule.cliff == "share":
        return (_sparsity_holding(scores, rule.score_share),)
    count = int((rule.highest_sparsity - rule.lowest_sparsity) / rule.step + 1e-6)
    return tuple(round(rule.lowest_sparsity + rule.step * i, 6) for i in range(count + 1))


def keep_best(scores: Float[Tensor, "layer head"], sparsity: float) -> frozenset[Head]:
    """The best-scored heads of the whole model, all but a share of `sparsity`; at least one.

    >>> sorted(map(str, keep_best(torch.tensor([[0.9, 0.1], [0.2, 0.7]]), sparsity=0.5)))
    ['0.0', '1.1']
    """
    n_heads = scores.shape[1]
    count = max(1, round(scores.numel() * (1 - sparsity)))
    order = scores.flatten().argsort(descending=True, stable=True)[:count]
    return frozenset(Head(flat // n_heads, flat % n_heads) for flat in order.tolist())


def _sparsity_holding(scores: Float[Tensor, "layer head"], share: float) -> float:
    """The sparsity at which the best heads hold a share of all score; 0 where there is none."""
    held = scores.flatten().double().clamp(min=0).sort(descending=True).values.cumsum(0)
    count = int((held < share * held[-1]).sum()) + 1 if held[-1] > 0 else len(held)
    return 1 - count / len(held)


def find_cliff(performances: Sequence[float], rule: CliffRule) -> int:
    """Index of the last point before the drop that the rule looks for; the last without a drop.

    >>> find_cliff([100.0, 99.0, 85.0, 84.0, 20.0], "first")
    1
    >>> find_cliff([100.0, 99.0, 85.0, 84.0, 20.0], "biggest")
    3
    """
    curve = np.asarray(performances, dtype=float)
    last = len(curve) - 1
    window = _window(len(curve))
    if rule.startswith("smooth"):
        curve = _moving_average(curve, window)
    limit = _DROP_SHARE * np.ptp(curve)
    if last == 0 or limit == 0:
        return last
    if rule.endswith("first"):
        cut = _first_cut(curve, window, limit, last)
        return last if cut is None else cut
    drops = np.array([curve[i] - curve[i + 1 : i + 1 + window].min() for i in range(last)])
    start = int(drops.argmax())
    if drops[start] < limit:
        return last
    return start + int(np.argmax(curve[start] - curve[start + 1 :] >= drops[start]))


@dataclass
class _Curve:
    """The points of a curve evaluated so far: number of the sparsity to performance."""

    kept: Sequence[frozenset[Head]]
    performance_of: PerformanceOf
    known: dict[int, float] = field(default_factory=dict)

    def evaluate(self, points: Iterable[int], progress: Progress) -> None:
        """Evaluate those of the points that are not known."""
        new, before = sorted(set(points) - self.known.keys()), len(self.known)
        if new:
            ends = before / len(self.kept), (before + len(new)) / len(self.kept)
            kept = [self.kept[point] for point in new]
            values = self.performance_of(kept, progress.within(*ends))
            self.known.update(zip(new, map(float, values), strict=True))

    def evaluate_until_certain(self, progress: Progress) -> None:
        """Evaluate rising sparsities until the first drop, then a few more for the range."""
        count = len(self.kept)
        window, last = _window(count), count - 1
        self.evaluate([*range(min(window + 1, count)), last], progress)
        sampled = False
        while len(self.known) < count:
            rising = self._rising()
            if self.first_cut() is None:
                self.evaluate(range(rising, min(rising + window, count)), progress)
            elif sampled:
                return
            else:
                self.evaluate(range(last, rising - 1, -window), progress)
                sampled = True

    def first_cut(self) -> int | None:
        """The point before the first drop; None while an unknown one could still be it."""
        rising, window = self._rising(), _window(len(self.kept))
        limit = _DROP_SHARE * (max(self.known.values()) - min(self.known.values()))
        curve = np.array([self.known[point] for point in range(rising)])
        return _first_cut(curve, window, limit, rising - window) if limit else None

    def _rising(self) -> int:
        """How many points are known without a gap."""
        return next(n for n in range(len(self.kept) + 1) if n not in self.known)


def _first_cut(
    curve: Float[np.ndarray, " point"], window: int, limit: float, starts: int
) -> int | None:
    """The point before the first drop by `limit` within a window of one of the first points."""
    for start in range(starts):
        fallen = curve[start] - curve[start + 1 : start + 1 + window] >= limit
        if fallen.any():
            return start + int(fallen.argmax())
    return None


def _window(count: int) -> int:
    return max(1, round(count * _WINDOW_SHARE))


def _moving_average(curve: Float[np.ndarray, " point"], window: int) -> Float[np.ndarray, " point"]:
    return np.array([curve[max(0, i - window + 1) : i + 1].mean() for i in range(len(curve))])
