"""How far random sets of equal size would agree with a reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.stats import hypergeom

from circuits.circuit import Overlap
from circuits.errors import InputError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """Expected value of a figure, and the central interval that holds 95 % of random sets.

    >>> recall = Chance(n_found=21, n_reference=26, n_possible=144, n_reachable=26).recall
    >>> print(f"{recall.mean:.2f} ({recall.low:.2f} to {recall.high:.2f})")
    0.15 (0.04 to 0.27)
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Chance:
    """Agreement of a uniformly random set with a reference.

    How many members such a set shares with the reference is hypergeometrically distributed, and
    precision, recall, F1 and IoU rise with that number. So expected values and intervals are
    computed, not drawn: no seed, no sampling error. The p-value is that of Fisher's exact test.

    Attributes:
        n_found: Size of the set that was found, and of the random ones.
        n_reference: Size of the reference.
        n_possible: Members that a random set is drawn from.
        n_reachable: Members of the reference among these; all of them unless given.

    Raises:
        InputError: A set is larger than what it is drawn from.

    >>> chance = Chance(n_found=21, n_reference=26, n_possible=144, n_reachable=26)
    >>> round(chance.precision.mean, 2)  # 26 of 144 heads are in the reference
    0.18
    >>> chance.p_value(n_shared=16) < 1e-9  # no random circuit shares so many of its heads
    True
    """

    n_found: int
    n_reference: int
    n_possible: int
    n_reachable: int

    def __post_init__(self) -> None:
        sizes = self.n_found, self.n_reference, self.n_possible, self.n_reachable
        if not (
            0 <= self.n_found <= self.n_possible
            and 0 <= self.n_reachable <= min(self.n_reference, self.n_possible)
        ):
            raise InputError(
                "a random set must fit into what it is drawn from, and no more of the reference "
                f"can be there than it has; got {sizes} found, in the reference, possible, "
                "reachable"
            )

    @classmethod
    def of(cls, overlap: Overlap[Any], n_possible: int, n_reachable: int | None = None) -> Chance:
        """How far random sets of the same size as the one in `overlap` would agree."""
        shared = len(overlap.true_positives)
        n_reference = shared + len(overlap.false_negatives)
        return cls(
            n_found=shared + len(overlap.false_positives),
            n_reference=n_reference,
            n_possible=n_possible,
            n_reachable=n_reference if n_reachable is None else n_reachable,
        )

    @property
    def precision(self) -> Spread:
        """Share of a random set that is in the reference; NaN for an empty set."""
        return self._spread(lambda shared: _share(shared, self.n_found))

    @property
    def recall(self) -> Spread:
        """Share of the reference that is in a random set; NaN for an empty reference."""
        return self._spread(lambda shared: _share(shared, self.n_reference))

    @property
    def f1(self) -> Spread:
        """Harmonic mean of precision and recall; NaN where both are empty."""
        return self._spread(lambda shared: _share(2 * shared, self.n_found + self.n_reference))

    @property
    def iou(self) -> Spread:
        """Intersection over union; NaN where both are empty."""
        together = self.n_found + self.n_reference
        return self._spread(lambda shared: _share(shared, together - shared))

    def p_value(self, n_shared: int) -> float:
        """Share of random sets with at least this many members of the reference."""
        return float(self._shared.sf(n_shared - 1))

    @cached_property
    def _shared(self) -> Any:
        """How many members of the reference a random set has."""
        return hypergeom(self.n_possible, self.n_reachable, self.n_found)

    def _spread(self, figure: Callable[[np.ndarray], np.ndarray]) -> Spread:
        least, most = self._shared.support()
        counts = np.arange(least, most + 1)
        ends = self._shared.ppf([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        mean = float(self._shared.pmf(counts) @ figure(counts))
        low, high = (float(end) for end in figure(ends))
        return Spread(mean, low, high)


def _share(part: np.ndarray, whole: np.ndarray | int) -> np.ndarray:
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)
