"""Figures with a bootstrap confidence interval over prompts."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

Figures = Callable[..., Float[np.ndarray, "figure *resample"]]
"""From the mean metric of each run, one array for each set of prompts, to figures."""

_RESAMPLES_TOGETHER = 256
_MEANS_TOGETHER = 10_000_000


@dataclass(frozen=True)
class Estimate:
    """A figure and its confidence interval.

    >>> f"{Estimate(93.71, 90.08, 96.2):.1f}"
    '93.7 [90.1, 96.2]'
    """

    value: float
    low: float
    high: float

    def scaled(self, factor: float | int) -> Estimate:
        """The same in another unit: 100 makes percent of a share.

        >>> Estimate(0.9, 0.8, 1.0).scaled(100)
        Estimate(value=90.0, low=80.0, high=100.0)
        """
        return Estimate(factor * self.value, factor * self.low, factor * self.high)

    def __format__(self, spec: str) -> str:
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def proportion(count: int, n: int, confidence: float = 0.95) -> Estimate:
    """A share of independent draws, with the interval of Clopper and Pearson (1934).

    It comes from the binomial distribution itself (Biometrika 26, 404-413): whatever the true
    share, it holds it at least as often as it says, and with few draws more often.

    Args:
        count: How many of the draws have what is counted.
        n: How many draws.
        confidence: Coverage (0 to 1).

    >>> f"{proportion(10, 10):.2f}", f"{proportion(5, 10):.2f}"
    ('1.00 [0.69, 1.00]', '0.50 [0.19, 0.81]')
    """
    ends = stats.binomtest(count, n).proportion_ci(confidence, method="exact")
    return Estimate(count / n, float(ends.low), float(ends.high))


@dataclass(frozen=True)
class Bootstrap:
    """Percentile intervals over resampled prompts (Efron and Tibshirani 1993, chapter 13).

    Of few prompts percentiles are too narrow; they are widened as Student's t is wider than the
    normal distribution (Hesterberg 2015, arXiv 1411.5279, section 3.1, "expanded percentile").
    `benchmarks/coverage.py` simulates what that gives. Prompts are taken as drawn independently.

    A resample draws prompts, and all runs of a prompt go with it, so that figures that are ratios
    or differences of runs on the same prompts are resampled as such. Percentiles, rather than BCa,
    because a figure may be the same on every resample (the whole model keeps 100 %).

    Attributes:
        confidence: Coverage (0 to 1).
        n_resamples: How many resamples.
        seed: Of the resamples; the same gives the same intervals.

    >>> metric = np.array([[4.0, 2.0, 3.0, 1.0], [2.0, 1.0, 1.5, 0.5]])  # model, circuit
    >>> (kept,) = Bootstrap().estimates(lambda mean: 100 * mean[1:] / mean[:1], metric)
    >>> print(f"{kept:.0f} %")  # half of the model's metric on every prompt, so on every resample
    50 [50, 50] %
    """

    confidence: float = 0.95
    n_resamples: int = 2000
    seed: int = 0

    def estimates(self, figures: Figures, *metrics: Float[np.ndarray, "run _"]) -> list[Estimate]:
        """Figures of the mean metrics of runs, with their intervals.

        Args:
            figures: From the mean metrics of each set of prompts, `[run *resample]`, to figures.
            metrics: The metric of every run on every prompt, one array for each set of prompts;
                sets are resampled apart. The interval is NaN where a set has a single prompt.

        """

        def statistic(
            *rows: Int[np.ndarray, "*resample _"], axis: int = -1
        ) -> Float[np.ndarray, "figure *resample"]:
            pairs = zip(metrics, rows, strict=True)
            return figures(*(metric[:, row].mean(-1) for metric, row in pairs))

        prompts = [np.arange(metric.shape[1]) for metric in metrics]
        # A resample can have a metric of 0 that others are shares of: its figure is no number.
        with np.errstate(divide="ignore", invalid="ignore"):
            values = statistic(*prompts)
            if min(map(len, prompts)) < 2:
                low = high = np.full_like(values, np.nan)
            else:
                low, high = self._interval(prompts, statistic)
        rows = zip(values.tolist(), low.tolist(), high.tolist(), strict=True)
        return [Estimate(*row) for row in rows]

    def of_means(
        self, values: Float[np.ndarray, "figure prompt"]
    ) -> tuple[Float[np.ndarray, " figure"], Float[np.ndarray, " figure"]]:
        """The ends of the intervals of many means over the same prompts.

        The same intervals as `estimates` has, but for the resamples that are drawn, and fast for
        hundreds of thousands of figures. NaN where there is a single prompt.

        >>> low, high = Bootstrap().of_means(np.array([[1.0, 1.0, 1.0], [-1.0, 0.0, 1.0]]))
        >>> low.round(1).tolist(), high.round(1).tolist()
        ([1.0, -1.0], [1.0, 1.0])
        """
        n_figures, n = values.shape
        if n < 2:
            return np.full(n_figures, np.nan), np.full(n_figures, np.nan)
        counts = self.draws(n)
        tail = (1 - self._expanded(n)) / 2
        parts = np.array_split(values, max(1, n_figures * self.n_resamples // _MEANS_TOGETHER))
        ends = [np.quantile(part @ counts.T / n, (tail, 1 - tail), axis=1) for part in parts]
        low, high = np.concatenate(ends, axis=1)
        return low, high

    def draws(self, n: int) -> Int[np.ndarray, "resample prompt"]:
        """How often each of n prompts is in each resample.

        >>> Bootstrap(n_resamples=3).draws(4).sum(1).tolist()
        [4, 4, 4]
        """
        draw = np.random.default_rng(self.seed)
        return draw.multinomial(n, np.full(n, 1 / n), size=self.n_resamples)

    def _interval(
        self, prompts: list[Int[np.ndarray, " _"]], statistic: Figures
    ) -> tuple[Float[np.ndarray, " figure"], Float[np.ndarray, " figure"]]:
        with warnings.catch_warnings():
            # A figure that is NaN has a NaN interval, which needs no warning (about BCa).
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            return stats.bootstrap(
                prompts,
                statistic,
                n_resamples=self.n_resamples,
                batch=_RESAMPLES_TOGETHER,
                vectorized=True,
                confidence_level=self._expanded(min(map(len, prompts))),
                method="percentile",
                rng=np.random.default_rng(self.seed),
            ).confidence_interval

    def _expanded(self, n_prompts: int) -> float:
        """The confidence whose normal quantile is the one of Student's t, for so many prompts."""
        quantile = stats.t.ppf((1 + self.confidence) / 2, n_prompts - 1)
        wide = quantile * (n_prompts / (n_prompts - 1)) ** 0.5
        return float(2 * stats.norm.cdf(wide) - 1)
