"""What single heads do to a circuit: those in it by being left out, others by being added."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from circuits.components import Head
from circuits.evaluation.evaluator import Evaluator
from circuits.fields import HeadName
from circuits.runtime.progress import SILENT, Progress
from circuits.statistics.intervals import Bootstrap, Estimate


@dataclass(frozen=True)
class Contributions:
    """Points of performance that single heads are worth, with intervals over paired prompts.

    Attributes:
        kept: Of each head of the circuit, what is lost without it.
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
    progress: Progress = SILENT,
) -> Contributions:
    """Leave out each head of a circuit, and add each of some others.

    Args:
        heads: Of the circuit.
        others: Heads outside that may work against the answer.
        on: The prompts.
        progress: Hears of the fraction done.

    >>> worth = measure_contributions(circuit.heads, [], Evaluator(model, pairs))
    >>> worth.opposing
    {}
    """
    inside = sorted(heads)
    outside = sorted(set(others) - heads)
    changed = [*(heads - {head} for head in inside), *(heads | {head} for head in outside)]
    runs = on.metrics([on.everything, heads, *changed], progress=progress).numpy()
    lost = Bootstrap().estimates(lambda means: 100 * (means[1:2] - means[2:]) / means[:1], runs)
    costs = dict(zip((*inside, *outside), lost, strict=True))
    return Contributions(
        {head: costs[head] for head in inside},
        {head: costs[head] for head in outside if costs[head].low > 0},
        len(on.pairs),
    )
