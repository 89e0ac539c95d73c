"""Decisions of a discovery that rest on less than rounding: elsewhere they may be others.

Sums of floats depend on their order, and that on the processor, on the number of threads and on how
many prompts are run together. So effects come out the same but for rounding, and a circuit does
wherever no effect is that close to what it is held against. Where one is, this says so. Which heads
a pruning left is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import Receiver
from circuits.discovery.methods import method_names
from circuits.discovery.result import Discovery
from circuits.patching import EdgeValues
from circuits.search.grow import receivers_of
from circuits.search.threshold import ThresholdSelector, known_effects
from circuits.search.verifier import ROUNDING, ROUNDING_OF_LOGITS

_SHOWN = 3
_POINTS = 1e-3
"""Rounding of a share of the metric, in percent."""
Limits = tuple[Receiver, Float[Tensor, "*sender"]]
"""What the effects on a receiver were held against: one number, or one for each sender."""


@dataclass(frozen=True)
class NearTie:
    """A decision that rounding could turn.

    Attributes:
        what: An edge, as it prints, or how many heads a circuit of a curve has.
        value: The size of its effect, or the percentage that it surely keeps.
        limit: What that had to exceed.

    >>> print(NearTie("1.2 -> 2.0.q", 0.01000004, 0.01))
    1.2 -> 2.0.q (0.01000004 against 0.01)
    """

    what: str
    value: float
    limit: float

    @property
    def distance(self) -> float:
        """How far the two are apart."""
        return abs(self.value - self.limit)

    def __str__(self) -> str:
        return f"{self.what} ({self.value:.7g} against {self.limit:.7g})"


def near_ties(found: Discovery) -> tuple[NearTie, ...]:
    """All of them, the closest first; none where no effect was held against anything.

    >>> near_ties(found)
    ()
    """
    ties = [*_of_edges(found), *_of_sizes(found)]
    return tuple(sorted(ties, key=lambda tie: (tie.distance, tie.what)))


def in_words(ties: Sequence[NearTie]) -> str:
    """How many there are, and the closest ones.

    >>> in_words([NearTie("1.2 -> logits", 0.5, 0.5)])
    '1 within rounding of a threshold, and may be decided otherwise elsewhere: 1.2 -> logits ...'
    """
    shown = ", ".join(map(str, ties[:_SHOWN]))
    more = ", ..." if len(ties) > _SHOWN else ""
    return (
        f"{len(ties):,} within rounding of a threshold, and may be decided otherwise elsewhere: "
        f"{shown}{more}"
    )


def _of_edges(found: Discovery) -> Iterator[NearTie]:
    """Edges into the receivers that the search reached."""
    effects, config = found.effects, found.config
    # What another search, or a method that is not here, holds effects against nobody can say.
    if effects is None or found.refusal or config.method not in method_names():
        return
    if (limits_of := _HELD_AGAINST.get(config.search_name)) is None:
        return
    dtype = getattr(torch, found.provenance.model.dtype, torch.float32)
    for receiver, limits in limits_of(found, effects):
        sizes = known_effects(effects.into(receiver)).abs()
        rounding = ROUNDING.get(dtype, 0.0) * (ROUNDING_OF_LOGITS if receiver.is_logits else 1)
        for column in ((sizes - limits).abs() <= rounding).nonzero()[:, 0].tolist():
            if not effects.into(receiver)[column].isnan():
                what = f"{effects.graph.senders[column]} -> {receiver}"
                limit = torch.as_tensor(limits).expand_as(sizes)[column]
                yield NearTie(what, float(sizes[column]), float(limit))


def _in_order(found: Discovery, effects: EdgeValues) -> Iterator[Limits]:
    """Of all effects, the last that is kept and the first that is not."""
    n_edges = found.config.n_edges
    order = known_effects(effects.values.flatten()).abs().sort(descending=True).values
    if n_edges < len(order) and order[n_edges] > 0:
        limit = (order[n_edges - 1] + order[n_edges]) / 2
        yield from ((receiver, limit) for receiver in effects.graph.receivers)


def _above_least(found: Discovery, effects: EdgeValues) -> Iterator[Limits]:
    """The least that counts, alone."""
    least = torch.tensor(found.config.selection.min_effect, dtype=torch.float64)
    yield from ((receiver, least) for receiver in _reached(found, effects))


def _above_thresholds(found: Discovery, effects: EdgeValues) -> Iterator[Limits]:
    """The least that counts, and the thresholds of each receiver."""
    rule = found.config.selection
    if rule.tests_significance:
        yield from _above_least(found, effects)
        return
    for receiver in _reached(found, effects):
        into = effects.into(receiver)
        sizes = known_effects(into).abs()
        if len(sizes) > 1:
            # Whether any is above `min_effect` rests on the largest of them alone.
            yield receiver, torch.where(sizes == sizes.max(), rule.min_effect, torch.inf)
            if sizes.max() > rule.min_effect:
                yield receiver, ThresholdSelector(rule, effects.graph).limits(into, receiver)


_HELD_AGAINST: dict[str, Callable[[Discovery, EdgeValues], Iterator[Limits]]] = {
    "top-n": _in_order,
    "connect": _above_least,
    "grow": _above_thresholds,
}
"""By the name of a search, what it held the sizes of effects against."""


def _reached(found: Discovery, effects: EdgeValues) -> Iterable[Receiver]:
    return dict.fromkeys(map(effects.graph.unit, receivers_of(found.circuit, effects.graph)))


def _of_sizes(found: Discovery) -> Iterator[NearTie]:
    """Circuits of the curve that surely keep about what was asked for."""
    if found.sizes is None:
        return
    keep = float(found.sizes.keep)
    for point in found.sizes.points:
        if abs(point.surely - keep) <= _POINTS:
            yield NearTie(f"a circuit of {len(point)} heads", point.surely, keep)
