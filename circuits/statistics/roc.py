"""Whether scores put a reference's members above everything else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from circuits.errors import InputError


@dataclass(frozen=True, eq=False)
class RocCurve:
    """The ROC curve of scores against a reference, from (0, 0) to (1, 1).

    Equal scores are taken together: the curve goes straight across them. Points on a straight line
    are left out.

    Attributes:
        false_positive_rate: Share of what is outside the reference that scores above a threshold.
        true_positive_rate: Share of the reference that does.
        n_positive: Size of the reference.
        n_negative: Everything else that was scored.

    >>> curve = roc_curve(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, False, True, False]))
    >>> curve.n_positive, curve.true_positive_rate.tolist()
    (2, [0.0, 0.5, 0.5, 1.0, 1.0])
    """

    false_positive_rate: Float[np.ndarray, " point"]
    true_positive_rate: Float[np.ndarray, " point"]
    n_positive: int
    n_negative: int

    @property
    def auc(self) -> float:
        """Area under the curve: how often a member of the reference outscores another.

        Ties count half: 0.5 says nothing, 1 ranks perfectly. NaN where one side is empty.
        """
        if not (self.n_positive and self.n_negative):
            return float("nan")
        return float(np.trapezoid(self.true_positive_rate, self.false_positive_rate))


def roc_curve(scores: Float[np.ndarray, " item"], positive: Bool[np.ndarray, " item"]) -> RocCurve:
    """The ROC curve of `scores`, high ones first, for finding what is `positive`.

    Raises:
        InputError: A score is NaN.

    >>> roc_curve(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, False, True, False])).auc
    0.75
    """
    if np.isnan(scores).any():
        raise InputError(f"{int(np.isnan(scores).sum())} of {len(scores)} scores are not a number")
    order = np.argsort(-scores, kind="stable")
    ranked = positive[order]
    # The last of equal scores: only there can a threshold lie.
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    hits = np.concatenate([[0], np.cumsum(ranked)[ends]])
    misses = np.concatenate([[0], np.cumsum(~ranked)[ends]])
    rise, run = np.diff(hits), np.diff(misses)
    corner = np.ones(len(hits), dtype=bool)
    corner[1:-1] = rise[:-1] * run[1:] != rise[1:] * run[:-1]
    n_positive, n_negative = int(hits[-1]), int(misses[-1])
    return RocCurve(
        _rate(misses[corner], n_negative), _rate(hits[corner], n_positive), n_positive, n_negative
    )


def _rate(counts: np.ndarray, total: int) -> Float[np.ndarray, " point"]:
    return counts / total if total else np.full(len(counts), np.nan)
