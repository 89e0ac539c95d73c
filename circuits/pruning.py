"""From head scores to candidate heads: sparsity sweep, cliff, merge. Knows no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from torch import Tensor

from circuits.components import Head, HeadSet

PerformanceOf = Callable[[Sequence[frozenset[Head]]], Sequence[float]]
"""Performance in percent of the full model for each of several sets of kept heads."""
CliffRule = Literal["first", "biggest", "smooth-first", "smooth-biggest", "fixed"]

_FIXED_SPARSITY = 0.75
_WINDOW_SHARE = 0.1
_DROP_SHARE = 0.1


@dataclass(frozen=True)
class PruningRule:
    """How far to prune: sparsities tried, and which cliff in performance decides.

    The cut is the last sparsity before the drop: the `first` drop of at least 10 % of the curve's
    range within a window (10 % of its points), the `biggest` one, either of them on the curve's
    moving average (`smooth-`), or no curve at all (`fixed`: 75 %). APP (arXiv 2511.05442,
    section 3) and its code.

    Raises:
        ValueError: The rule is unknown or the sparsities are not within 0 and 1.

    """

    cliff: CliffRule = "first"
    lowest_sparsity: float = 0.60
    highest_sparsity: float = 0.99
    step: float = 0.01

    def __post_init__(self) -> None:
        if self.cliff not in get_args(CliffRule):
            raise ValueError(f"cliff must be one of {get_args(CliffRule)}, got {self.cliff!r}")
        if not 0 <= self.lowest_sparsity < self.highest_sparsity < 1:
            raise ValueError(
                "sparsities must satisfy 0 <= lowest < highest < 1, got "
                f"{self.lowest_sparsity} and {self.highest_sparsity}"
            )
        if not 0 < self.step < 1:
            raise ValueError(f"step must be between 0 and 1, got {self.step}")

    @property
    def sparsities(self) -> tuple[float, ...]:
        """The sparsities tried, rising."""
        if self.cliff == "fixed":
            return (_FIXED_SPARSITY,)
        count = int((self.highest_sparsity - self.lowest_sparsity) / self.step + 1e-6)
        return tuple(round(self.lowest_sparsity + self.step * i, 6) for i in range(count + 1))


@dataclass(frozen=True)
class Pruning:
    """One pruned set of heads and the curve that decided how large it is."""

    candidates: HeadSet
    sparsities: tuple[float, ...]
    performances: tuple[float, ...]
    cut: int

    @property
    def performance(self) -> float:
        """Percent of the full model's metric that the candidates keep."""
        return self.performances[self.cut]


def prune(
    scores: Float[Tensor, "layer head"], rule: PruningRule, performance_of: PerformanceOf
) -> Pruning:
    """Keep the best-scored heads at the sparsity just before performance falls."""
    kept = [keep_best(scores, sparsity) for sparsity in rule.sparsities]
    performances = tuple(float(value) for value in performance_of(kept))
    cut = find_cliff(performances, rule.cliff)
    return Pruning(kept[cut], rule.sparsities, performances, cut)


def keep_best(scores: Float[Tensor, "layer head"], sparsity: float) -> frozenset[Head]:
    """The best-scored heads of the whole model, all but a share of `sparsity`; at least one."""
    n_heads = scores.shape[1]
    count = max(1, round(scores.numel() * (1 - sparsity)))
    order = scores.flatten().argsort(descending=True, stable=True)[:count]
    return frozenset(Head(flat // n_heads, flat % n_heads) for flat in order.tolist())


def find_cliff(performances: Sequence[float], rule: CliffRule) -> int:
    """Index of the last point before the drop that the rule looks for; the last without a drop."""
    curve = np.asarray(performances, dtype=float)
    if len(curve) == 1:
        return 0
    window = max(1, round(len(curve) * _WINDOW_SHARE))
    if rule.startswith("smooth"):
        curve = _moving_average(curve, window)
    limit = _DROP_SHARE * (curve.max() - curve.min())
    drops = np.array(
        [curve[i] - curve[i + 1 : i + 1 + window].min() for i in range(len(curve) - 1)]
    )
    if limit == 0 or drops.max() < limit:
        return len(curve) - 1
    start = int(np.argmax(drops >= limit)) if rule.endswith("first") else int(drops.argmax())
    fallen = curve[start] - curve[start + 1 :] >= (
        limit if rule.endswith("first") else drops[start]
    )
    return start + int(np.argmax(fallen))


def _moving_average(curve: np.ndarray, window: int) -> np.ndarray:
    return np.array([curve[max(0, i - window + 1) : i + 1].mean() for i in range(len(curve))])
