"""What a random sample without anything says about all that it was drawn from."""

from __future__ import annotations

import numpy as np

from circuits.errors import InputError

_ROUNDING = 1e-9


def most_unseen(n_all: int, n_drawn: int, level: float) -> int:
    """How many of a finite set may have a property that none of those drawn at random has.

    If one more had it, a sample without replacement would miss them all with a probability of at
    most `level` (hypergeometric). So with confidence 1 - level no more than so many of the set lie
    above the largest value that was drawn: the limit of Wilks (1941, Annals of Mathematical
    Statistics 12, 91-96) for a finite set. Nothing is assumed of the values; what is left of the
    set later, by whatever rule, has no more of them.

    Args:
        n_all: Size of the set.
        n_drawn: How many were drawn from it.
        level: Probability of being wrong, above 0 and below 1.

    Raises:
        InputError: More are drawn than there are, or the level is out of range.

    >>> most_unseen(n_all=1000, n_drawn=32, level=0.05)
    87
    >>> most_unseen(n_all=1000, n_drawn=0, level=0.05)
    1000
    """
    if not (0 <= n_drawn <= n_all and 0 < level < 1):
        raise InputError(
            "a sample is drawn from what there is, at a level above 0 and below 1; got "
            f"{n_drawn} drawn of {n_all} at level {level:g}"
        )
    if not n_drawn:
        return n_all
    more = np.arange(n_all - n_drawn)
    # Each further one must lie outside of the sample, too. Rounding must not exclude one too many.
    missed = np.cumsum(np.log1p(-n_drawn / (n_all - more)))
    return int((missed > np.log(level) - _ROUNDING).sum())
