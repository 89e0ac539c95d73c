"""Making a circuit grown on estimates the one that exact effects give.

Estimates are first order behind the receiver. Their errors are learned: the exact effect of a
verified path gives its curvature, the ratio of its error to what the estimate may leave out. That
is the size of its remainder (`patching.remainder`), and a twentieth of the estimate itself: the
remainder scales with the whole residual stream, and where a few of its dimensions dwarf the rest
it is too small. Curvatures are of order one. A receiver of which few paths were verified is taken
to have one that 95 % of all verified paths stay below, at least 1; the more of its own paths are
verified, the more twice the largest of theirs counts instead.
While the selection of any sender could flip within these errors, the paths whose errors keep it
open are run exactly (`Selector.deciding`), and the thresholds computed anew.

A random sample of the paths that are left checks the errors themselves: where curvatures turn out
larger than was taken for granted, every error widens, and receivers that were settled are looked at
again. By Wilks (1941), with confidence 95 % at most a share 1 - 0.05^(1/n) of the paths left have a
curvature above the largest of n sampled ones; within it no path that was left out has an effect
above `missed_effect`.
The aim, and the need to check by sampling, are AtP*'s (Kramar et al. 2024, arXiv 2403.00745,
section 3.3); there the estimate's error is not modelled, and subsets are patched together.
"""

from __future__ import annotations

from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Verification:
    """What was verified, and what can be said about the rest. All effects are normalised.

    Attributes:
        estimated: Paths into the receivers that the search reached.
        verified: How many of them were run exactly.
        sampled: How many of those were drawn at random from paths that were already decided.
        flipped: Paths whose selection is not what the estimates alone would have made it.
        largest_error: Largest error of an estimate among the verified paths.
        mean_error: Mean error among the sampled paths; None without a sample.
        curvature: Largest error relative to what the estimate was taken to leave out.
        missed_effect: No path left out unverified has an effect larger than this, unless its
            curvature is above all sampled ones and above the one taken for granted.
        coverage: Share of the unverified paths of which that holds, with confidence 95 %.

    >>> seen = found.verification
    >>> seen.sampled <= seen.verified <= seen.estimated
    True
    """

    estimated: int
    verified: int
    sampled: int
    flipped: int
    largest_error: float
    mean_error: float | None
    curvature: float
    missed_effect: float
    coverage: float
