"""Faithfulness, and the areas CPR and CMD of MIB.

Mueller et al. 2025, "MIB: A Mechanistic Interpretability Benchmark" (arXiv 2504.13151), section
3.1, and `evaluate_area_under_curve` in MIB_circuit_track/evaluation.py of its repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from circuits.errors import SettingError

MIB_SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares of all components at which MIB takes its areas."""


def check_shares(shares: Sequence[float], least: float | int = 0) -> None:
    """Raise SettingError where shares do not rise from at least 0 (or above it) to at most 1."""
    rising = all(low < high for low, high in pairwise(shares))
    if len(shares) < 2 or not rising or shares[0] < least or shares[-1] > 1:
        raise SettingError(
            f"shares must rise, from at least {least:g} to at most 1; got {tuple(shares)}"
        )


def faithfulness(
    means: Float[np.ndarray, "run *resample"],
) -> Float[np.ndarray, "circuit *resample"]:
    """Faithfulness of all runs but the first two, from mean metrics.

    The first run is the model without anything kept, which has 0, the second the whole model, which
    has 1. NaN where these two are equal.
    """
    none, everything, kept = means[:1], means[1:2], means[2:]
    span = everything - none
    return (kept - none) / np.where(span == 0, np.nan, span)


def areas(
    shares: Sequence[float], points: Float[np.ndarray, "circuit *resample"]
) -> Float[np.ndarray, "2 *resample"]:
    """CPR and CMD of a curve: by trapezoids between the shares, and nothing outside of them."""
    return np.stack(
        [np.trapezoid(points, shares, axis=0), np.trapezoid(np.abs(1 - points), shares, axis=0)]
    )


def log_areas(
    shares: Sequence[float], points: Float[np.ndarray, "circuit *resample"]
) -> Float[np.ndarray, "2 *resample"]:
    """The same with the logarithms of the shares, over the width of these.

    So 1 and 0 are perfect. MIB's `log_scale` leaves the width in, 6.908 for its shares.
    """
    logs = np.log(shares)
    return areas(logs.tolist(), points) / (logs[-1] - logs[0])
