"""Ranking heads by what each adds in the company it keeps. Knows no model.

Scored once, among all heads of a model, a head is judged in company that a small circuit does not
have. So the worst heads are left out, a few at a time, and the others scored anew among those that
are left. What comes out is one order of heads, the last to be left out first: each circuit of its
first n heads holds all smaller ones.

Scores of one round are those of one company; averaging over rounds, the newest counting most, asks
that a head be worth keeping in several (as Aumann-Shapley values do, and the learned masks of MIB's
leaders).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from circuits.components import Head
from circuits.errors import SettingError

ScoresAmong = Callable[[tuple[Head, ...], int], Sequence[float]]
"""From the heads of a circuit, and how many rounds there were, to what each adds to it."""


def thinned(
    scores: Mapping[Head, float],
    scores_among: ScoresAmong,
    *,
    least: int = 1,
    left_out: float = 0.2,
    memory: float = 0.5,
) -> tuple[Head, ...]:
    """Order heads by leaving out the worst until few are left.

    Args:
        scores: Of the heads to begin with.
        scores_among: Scores some heads anew, in each other's company.
        least: How many heads are left in the end; they are ordered by their last scores.
        left_out: Share of the heads that each round leaves out; at least one.
        memory: How much the scores of earlier rounds count, 0 to 1: 0 takes the newest alone.

    Raises:
        SettingError: `least` is below 1, or a share is out of range.

    >>> pair = Head(0, 0), Head(1, 1)  # worth something together alone
    >>> def scores_among(heads, round_number):
    ...     return [1.0 if set(pair) <= set(heads) and head in pair else 0.4 for head in heads]
    >>> first = {Head(0, 1): 0.5, Head(0, 0): 0.3, Head(1, 1): 0.3, Head(2, 0): 0.1}
    >>> [str(head) for head in thinned(first, scores_among, memory=0.0)]
    ['0.0', '1.1', '0.1', '2.0']
    """
    if least < 1 or not 0 < left_out < 1 or not 0 <= memory < 1:
        raise SettingError(
            f"least must be at least 1, left_out above 0 and below 1, memory at least 0 and below "
            f"1; got {least}, {left_out} and {memory}"
        )
    known, worst_first = dict(scores), []
    kept = _best_first(known)
    round_number = 0
    while len(kept) > least:
        new = dict(zip(kept, scores_among(tuple(kept), round_number), strict=True))
        known = {head: memory * known[head] + (1 - memory) * new[head] for head in kept}
        ranked = _best_first(known)
        n_kept = max(least, min(len(kept) - 1, round(len(kept) * (1 - left_out))))
        worst_first += reversed(ranked[n_kept:])
        kept, round_number = ranked[:n_kept], round_number + 1
    return (*kept, *reversed(worst_first))


def _best_first(scores: Mapping[Head, float]) -> list[Head]:
    """By falling score, equal ones in order."""
    return sorted(scores, key=lambda head: (-scores[head], head))
