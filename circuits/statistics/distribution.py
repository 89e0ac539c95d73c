"""One figure measured again and again: where it lies, how it spreads, and what is out of line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from statistics import fmean, stdev

import numpy as np
from scipy.stats import t as student_t

_ROUNDING = 1e-9
"""Values that differ by less than this share of themselves are equal."""


@dataclass(frozen=True)
class Histogram:
    """How many values lie between one edge and the next; the last bin holds its upper edge, too.

    >>> Distribution({0: 71.0, 1: 80.0, 2: 76.0, 3: 72.0}).histogram
    Histogram(counts=(2, 1, 1), edges=(71.0, 74.0, 77.0, 80.0))
    """

    counts: tuple[int, ...]
    edges: tuple[float, ...]


@dataclass(frozen=True)
class Distribution:
    """A figure over repeated runs.

    Attributes:
        values: By seed; NaN where a run has no such figure. These count nowhere below.
        more_is_better: Whether the best one is the largest.

    >>> performance = Distribution({0: 71.0, 1: 80.0, 2: 77.0})
    >>> performance.mean, performance.best
    (76.0, (1, 80.0))
    """

    values: Mapping[int, float]
    more_is_better: bool = True

    @cached_property
    def known(self) -> dict[int, float]:
        """The values without NaN."""
        return {seed: value for seed, value in self.values.items() if not math.isnan(value)}

    @property
    def mean(self) -> float:
        """The mean of the known values; NaN without any."""
        return fmean(self.known.values()) if self.known else math.nan

    @property
    def sd(self) -> float:
        """Standard deviation, estimated from the sample (n - 1); NaN for fewer than two values."""
        return stdev(self.known.values()) if len(self.known) > 1 else math.nan

    @property
    def best(self) -> tuple[int, float] | None:
        """Seed and value; the first of equals."""
        sign = 1 if self.more_is_better else -1
        return max(self.known.items(), key=lambda item: sign * item[1], default=None)

    @property
    def worst(self) -> tuple[int, float] | None:
        """Seed and value; the first of equals."""
        sign = -1 if self.more_is_better else 1
        return max(self.known.items(), key=lambda item: sign * item[1], default=None)

    @property
    def histogram(self) -> Histogram:
        """In bins of equal width, as many as numpy's rule "auto" makes of so many values."""
        counts, edges = np.histogram(list(self.known.values()), bins="auto")
        return Histogram(tuple(counts.tolist()), tuple(edges.tolist()))

    def expected(self, seed: int, confidence: float) -> tuple[float, float]:
        """Where the value of one seed is expected to lie by all others; ends count as inside.

        Student's prediction interval for one more value: mean ± t · SD · sqrt(1 + 1/n) of the n
        others. For ten seeds and confidence 0.95 that is mean ± 2.4 SD. A value outside has an
        externally studentised residual beyond t: for one seed that was named beforehand this is a
        test at level 1 - confidence; for whichever of n seeds lies furthest out it is Grubbs' test
        (1969, Technometrics 11, 1-21) at confidence 1 - level / n. Both take the values as normally
        distributed. Infinite where fewer than two others are known.
        """
        others = [value for other, value in self.known.items() if other != seed]
        if len(others) < 2:
            return -math.inf, math.inf
        mean, n = fmean(others), len(others)
        reach = _quantile((1 + confidence) / 2, n - 1) * stdev(others) * math.sqrt(1 + 1 / n)
        reach += _ROUNDING * abs(mean)
        return mean - reach, mean + reach


@cache
def _quantile(probability: float, degrees_of_freedom: int) -> float:
    """Of Student's distribution."""
    return float(student_t.ppf(probability, degrees_of_freedom))


@dataclass(frozen=True)
class Outlier:
    """A seed whose figure lies outside of what the other seeds let expect.

    Attributes:
        figure: Its name.
        seed: The seed.
        value: The figure of that seed.
        low: The lowest value that the others let expect.
        high: The highest.

    >>> performance = Distribution({0: 90.0, 1: 71.0, 2: 72.0, 3: 71.0, 4: 72.0})
    >>> [found.seed for found in outliers({"performance": performance}, reported=0)]
    [0]
    """

    figure: str
    seed: int
    value: float
    low: float
    high: float


def outliers(
    figures: Mapping[str, Distribution], reported: int, level: float = 0.05
) -> list[Outlier]:
    """Every figure that is out of line, first those of the seed that is `reported`.

    Each figure is tested on its own: the reported seed at `level`, the others together at `level`
    (a n-th of it each).
    """
    found: list[Outlier] = []
    for name, distribution in figures.items():
        for seed, value in distribution.known.items():
            share = 1 if seed == reported else len(distribution.known)
            low, high = distribution.expected(seed, 1 - level / share)
            if not low <= value <= high:
                found.append(Outlier(name, seed, value, low, high))
    return sorted(found, key=lambda outlier: outlier.seed != reported)
