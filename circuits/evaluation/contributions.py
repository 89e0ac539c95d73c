"""What single heads do to a circuit: those in it by being left out, others by being added."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from circuits.components import Head
from circuits.evaluation.evaluator import Evaluator
from circuits.fields import HeadName
from circuits.runtime.progress import SILENT, Progress
from circuits.statistics.intervals import Bootstrap, Estimate


@dataclass(frozen=True)
class Contributions:
    """Points of performance that single heads are worth, with intervals over paired prompts.

    Attributes:
        kept: Of each head of the circuit, what is lost without it (where the interval would hold 0,
            over more prompts than `n_prompts`).
        opposing: Of heads outside, what is lost where one is added: those alone whose interval is
            above 0, so that they work against the answer.
        n_prompts: Over how many prompts.

    >>> worth = measure_contributions(circuit.heads, [Head(0, 0)], Evaluator(model, pairs))
    >>> worth.kept.keys() == circuit.heads, worth.n_prompts
    (True, 4)
    """

    kept: Mapping[HeadName, Estimate]
    opposing: Mapping[HeadName, Estimate]
    n_prompts: int

    @property
    def not_shown(self) -> tuple[Head, ...]:
        """Heads of the circuit that nothing is shown to be lost without: their interval holds 0."""
        return tuple(head for head, lost in self.kept.items() if not lost.low > 0)


def measure_contributions(
    heads: frozenset[Head],
    others: Collection[Head],
    on: Evaluator,
    more: Evaluator | None = None,
    progress: Progress = SILENT,
) -> Contributions:
    """Leave out each head of a circuit, and add each of some others.

    Args:
        heads: Of the circuit.
        others: Heads outside that may work against the answer.
        on: The prompts.
        more: Other prompts; heads that nothing is shown to be lost without are tried on these, too.
        progress: Hears of the fraction done.

    >>> worth = measure_contributions(circuit.heads, [], Evaluator(model, pairs))
    >>> worth.opposing
    {}
    """
    first, second, third = progress.parts(0.7, 0.15, 0.15)
    kept = _lost({head: heads - {head} for head in sorted(heads)}, heads, [on], first)
    if more is not None:
        open_ = {head: heads - {head} for head, lost in kept.items() if not lost.low > 0}
        kept |= _lost(open_, heads, [on, more], second)
    added = {head: heads | {head} for head in sorted(set(others) - heads)}
    lost = _lost(added, heads, [on], third)
    opposing = {head: points for head, points in lost.items() if points.low > 0}
    return Contributions(kept, opposing, len(on.pairs))


def _lost(
    changed: Mapping[Head, frozenset[Head]],
    heads: frozenset[Head],
    on: Sequence[Evaluator],
    progress: Progress,
) -> dict[Head, Estimate]:
    """By what each change was of, points lost by it over the prompts of all evaluators."""
    if not changed:
        return {}
    circuits = [heads, *changed.values()]
    runs = [
        one.metrics([one.everything, *circuits], progress=part).numpy()
        for one, part in progress.each(on)
    ]
    lost = Bootstrap().estimates(
        lambda means: 100 * (means[1:2] - means[2:]) / means[:1], np.concatenate(runs, axis=1)
    )
    return dict(zip(changed, lost, strict=True))
