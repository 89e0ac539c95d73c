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

Then a random sample of all paths that are estimated alone checks the errors themselves, also where
estimate and remainder are both zero because a gradient vanishes: where curvatures turn out larger
than was taken for granted, every error widens, and receivers that were settled are looked at again.

What is said of the rest needs none of that. When the sample is drawn, the paths that were left out
are a fixed set, whatever the search had learned. So by `statistics.sampling`, with confidence
1 - level at most so many of them have an effect above the largest that was drawn, and later, when
more of them are verified, no more. Where the search reaches paths that were not in that set, or is
left with less than half of them, it looks again, at another sample. Look n has a level of
0.04 * 0.2^(n - 1): all of them together, and so the last whichever it is, are wrong with a
probability of at most 5 %. `missed_effect` is the largest sampled effect, or what estimates and
their errors allow where that is more.
The aim, and the need to check by sampling, are AtP*'s (Kramar et al. 2024, arXiv 2403.00745,
section 3.3); there the estimate's error is not modelled, and subsets are patched together.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from circuits.statistics.sampling import most_unseen

CONFIDENCE = 0.95
_KEPT_FOR_LATER = 0.2
"""Share of what a look may be wrong by that all later ones together may."""


@dataclass(frozen=True)
class Verification:
    """What was verified, and what can be said about the rest. All effects are normalised.

    Paths into the logits are exact in a sweep: they need no verification, and nothing is said of
    them here.

    Attributes:
        estimated: Paths into the receivers that the search reached.
        verified: How many of them were run exactly.
        sampled: How many of those were drawn at random from paths that were already decided.
        flipped: Paths whose selection is not what the estimates alone would have made it.
        largest_error: Largest error of an estimate among the verified paths.
        mean_error: Mean error among the sampled paths; None without a sample.
        curvature: Largest error relative to what the estimate was taken to leave out.
        missed_effect: No path left out unverified has an effect larger than this, but for few.
        coverage: Share of these paths of which that holds at least, with confidence 95 %: 1 where
            none is left, 0 where nothing is known.

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


@dataclass(frozen=True, eq=False)
class Look:
    """A random sample of what a rule left out when its search had come to rest.

    Attributes:
        number: The how many-th look of the whole run it is, from 1.
        left_out: The paths that were neither kept nor run exactly before it was drawn.
        drawn: Those of them that were drawn.

    """

    number: int
    left_out: Bool[Tensor, "receiver sender"]
    drawn: Bool[Tensor, "receiver sender"]

    @property
    def most_larger(self) -> int:
        """How many of the paths may have a larger effect than all that were drawn."""
        level = (1 - CONFIDENCE) * (1 - _KEPT_FOR_LATER) * _KEPT_FOR_LATER ** (self.number - 1)
        return most_unseen(int(self.left_out.sum()), int(self.drawn.sum()), level)

    def speaks_for(self, left_out: Bool[Tensor, "receiver sender"]) -> bool:
        """Whether it says enough of what a search leaves out that went on behind it."""
        is_covered = not bool((left_out & ~self.left_out).any())
        n_then = int((self.left_out & ~self.drawn).sum())
        return is_covered and 2 * int(left_out.sum()) >= n_then


def coverage(look: Look | None, left_out: Bool[Tensor, "receiver sender"]) -> float:
    """The least share of what is left out now that has no larger effect than what was drawn."""
    n_left = int(left_out.sum())
    if not n_left:
        return 1.0
    return 0.0 if look is None else max(0.0, 1 - look.most_larger / n_left)
