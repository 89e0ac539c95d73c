"""From head scores to candidate heads: sparsity sweep, cliff, merge. Knows no model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from torch import Tensor

from circuits.components import Head, HeadSet

Progress = Callable[[float], None]
PerformanceOf = Callable[[Sequence[frozenset[Head]], Progress], Sequence[float]]
"""Performance in percent of the full model for each of several sets of kept heads.

Told how far it is by calling its second argument with the fraction done.
"""
CliffRule = Literal["first", "biggest", "smooth-first", "smooth-biggest", "fixed", "share"]

_WINDOW_SHARE = 0.1
_DROP_SHARE = 0.1


@dataclass(frozen=True)
class PruningRule:
    """How far to prune: at which cliff in performance, or without looking at performance.

    The cut is the last sparsity before the drop: the `first` drop of at least 10 % of the curve's
    range within a window (10 % of its points), the `biggest` one, or either of them on the curve's
    moving average (`smooth-`). No curve is evaluated for `fixed`, which cuts at `fixed_sparsity`.
    These are APP's (arXiv 2511.05442, section 3, and its code). Nor is one for `share`: it keeps
    the best heads that together hold `score_share` of the whole model's score, counting scores
    below 0 as 0. The larger it is, the more is kept of what path patching among all heads finds,
    and the dearer the search (`benchmarks.recall`). What `first` leaves out of the curve
    `full_curve` evaluates too; see `prune`.

    Raises:
        ValueError: The rule is unknown, or a sparsity or the share is not within 0 and 1.

    """

    cliff: CliffRule = "first"
    lowest_sparsity: float = 0.60
    highest_sparsity: float = 0.99
    step: float = 0.01
    full_curve: bool = False
    fixed_sparsity: float = 0.75
    score_share: float = 0.625

    def __post_init__(self) -> None:
        if self.cliff not in get_args(CliffRule):
            raise ValueError(f"cliff must be one of {get_args(CliffRule)}, got {self.cliff!r}")
        if not 0 <= self.lowest_sparsity < self.highest_sparsity < 1:
            raise ValueError(
                "sparsities must satisfy 0 <= lowest < highest < 1, got "
                f"{self.lowest_sparsity} and {self.highest_sparsity}"
            )
        for name in ("step", "fixed_sparsity", "score_share"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")

    @property
    def needs_curve(self) -> bool:
        """Whether performance decides."""
        return self.cliff not in ("fixed", "share")

    def sparsities(self, scores: Float[Tensor, "layer head"]) -> tuple[float, ...]:
        """The sparsities tried, rising; without a curve the one that is cut at."""
        if self.cliff == "fixed":
            return (self.fixed_sparsity,)
        if self.cliff == "share":
            return (_sparsity_holding(scores, self.score_share),)
        count = int((self.highest_sparsity - self.lowest_sparsity) / self.step + 1e-6)
        return tuple(round(self.lowest_sparsity + self.step * i, 6) for i in range(count + 1))


@dataclass(frozen=True)
class Pruning:
    """One pruned set of heads and the curve that decided how large it is.

    Attributes:
        candidates: The heads kept.
        sparsities: Those evaluated, rising; they need not be evenly spaced.
        performances: Percent of the full model's metric at each of them.
        cut: Index of the sparsity that the candidates were kept at.

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
    progress: Progress = lambda fraction: None,
) -> Pruning:
    """Keep the best-scored heads at the sparsity just before performance falls.

    For the `first` drop sparsities rise until it is certain; behind it only the highest and one in
    each window are evaluated, for the range that the drop is measured against. The cut is that of
    the full curve whenever the points left out do not widen this range.
    """
    sparsities = rule.sparsities(scores)
    sweep = _Sweep([keep_best(scores, sparsity) for sparsity in sparsities], performance_of)
    if rule.cliff == "first" and not rule.full_curve:
        sweep.evaluate_until_certain(progress)
    else:
        sweep.evaluate(range(len(sweep.kept)), progress)
    progress(1.0)
    points = sorted(sweep.known)
    # Up to the cut every point is known, so that it is the same index in both.
    cut = sweep.first_cut() if len(points) < len(sweep.kept) else None
    performances = tuple(sweep.known[point] for point in points)
    cut = find_cliff(performances, rule.cliff) if cut is None else cut
    return Pruning(sweep.kept[cut], tuple(sparsities[p] for p in points), performances, cut)


def keep_best(scores: Float[Tensor, "layer head"], sparsity: float) -> frozenset[Head]:
    """The best-scored heads of the whole model, all but a share of `sparsity`; at least one."""
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
    """Index of the last point before the drop that the rule looks for; the last without a drop."""
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
class _Sweep:
    """The points of a curve evaluated so far: number of the sparsity to performance."""

    kept: Sequence[frozenset[Head]]
    performance_of: PerformanceOf
    known: dict[int, float] = field(default_factory=dict)

    def evaluate(self, points: Iterable[int], progress: Progress) -> None:
        """Evaluate those of the points that are not known."""
        new, before = sorted(set(points) - self.known.keys()), len(self.known)

        def report(fraction: float) -> None:
            progress((before + fraction * len(new)) / len(self.kept))

        if new:
            values = self.performance_of([self.kept[point] for point in new], report)
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
