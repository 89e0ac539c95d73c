"""Effects that are exact wherever a selection rests on them. Knows no model; see `verification`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from xxhash import xxh64_intdigest

from circuits.circuit import Circuit
from circuits.components import Node, Receiver
from circuits.patching import EdgeEstimates, EdgeValues
from circuits.search.grow import Selector, chosen, grow, receivers_of
from circuits.search.verification import CONFIDENCE, Verification

Measure = Callable[[Receiver, tuple[Node, ...]], Iterable[float]]
"""Exact effects of some senders on a receiver."""
Visit = Callable[[Receiver], None]

_LEAST_CURVATURE = 1.0
_RELATIVE_ERROR = 0.05
_COMMON_SHARE = 0.95
_MARGIN = 2.0
_ROUNDING = {torch.float64: 2e-6, torch.float32: 2e-6, torch.float16: 2e-4, torch.bfloat16: 1e-3}
"""Rounding of a head's estimate by the precision of the sweep, seen on SmolLM2."""
_ROUNDING_OF_LOGITS = 10.0
"""How many times larger that of the logits is: they are large, and their difference is not."""


@dataclass(eq=False)
class _Known:
    """What is known of one receiver's effects; `left_out` has what each estimate may leave out."""

    receiver: Receiver
    estimate: Float[Tensor, " sender"]
    left_out: Float[Tensor, " sender"]
    rounding: float
    exact: Float[Tensor, " sender"] = field(init=False)
    sampled: Bool[Tensor, " sender"] | None = None

    def __post_init__(self) -> None:
        self.exact = torch.full_like(self.estimate, torch.nan)

    @property
    def effects(self) -> Float[Tensor, " sender"]:
        return self.exact.where(~self.exact.isnan(), self.estimate)

    @property
    def is_sure(self) -> bool:
        """Whether the estimates leave nothing out but rounding: those of a sweep on the logits."""
        return self.receiver.is_logits and not bool(self.left_out.nan_to_num(0.0).any())

    @property
    def left(self) -> Bool[Tensor, " sender"]:
        """Mask of the edges that are estimated alone."""
        return ~self.estimate.isnan() & self.exact.isnan()

    @property
    def errors_made(self) -> Float[Tensor, " sender"]:
        """Errors of the estimates; NaN where no exact effect is known."""
        return (self.exact - self.estimate).abs()

    @property
    def relative_errors(self) -> Float[Tensor, " sender"]:
        """Errors beyond rounding, relative to what the estimates may leave out: curvatures."""
        beyond = (self.errors_made - self.rounding).clamp(min=0)
        return beyond / (self.left_out + self.rounding)

    @property
    def error_seen(self) -> Float[Tensor, " edge"]:
        return self.errors_made[~self.exact.isnan()]

    @property
    def curvatures(self) -> Float[Tensor, " edge"]:
        """Those of all verified edges that have one: of which not everything is rounding."""
        beyond_rounding = (self.left_out > self.rounding) | (self.errors_made > self.rounding)
        return self.relative_errors[~self.exact.isnan() & beyond_rounding]

    def of_sampled(self, values: Float[Tensor, " sender"]) -> Float[Tensor, " edge"]:
        """The values of the edges that were drawn at random."""
        return values[:0] if self.sampled is None else values[self.sampled]

    def errors(self, curvature: float) -> Float[Tensor, " sender"]:
        """How far each estimate may be off."""
        return (curvature * self.left_out + self.rounding).where(self.left, 0.0)


class Verifier:
    """Effects on receivers, exact wherever a selection rests on them.

    What one rule had verified serves all others.

    >>> from circuits.search.threshold import ThresholdSelector
    >>> exact = lambda receiver, senders: [effects.of(sender, receiver) for sender in senders]
    >>> verifier = Verifier(EdgeEstimates(effects, None), exact, sample_share=0.0, seed=0)
    >>> verifier.effects(Receiver.logits(), ThresholdSelector(rule, graph)).shape
    torch.Size([12])
    """

    def __init__(
        self,
        estimates: EdgeEstimates,
        measure: Measure,
        sample_share: float,
        seed: int,
        precision: torch.dtype = torch.float32,
    ) -> None:
        """Verify what decides, and a share of the other edges at random.

        Args:
            estimates: Of every edge, normalised.
            measure: Exact effects of some senders on a receiver, in the order of the senders.
            sample_share: Share of the decided edges that is verified, too, 0 to 1.
            seed: Seed of that sample.
            precision: The one that the estimates were computed in.

        """
        self._estimates, self._measure = estimates, measure
        self._graph = estimates.effects.graph
        self._sample_share, self._seed = sample_share, seed
        self._rounding = _ROUNDING[precision]
        self._is_precise = precision.itemsize >= torch.float32.itemsize
        self._known: dict[Receiver, _Known] = {}
        self._seen = torch.empty(0)

    def effects(self, receiver: Receiver, rule: Selector) -> Float[Tensor, " sender"]:
        """Effects of all senders; the rule's selection cannot flip within their errors."""
        known = self._of(receiver)
        while todo := self._next(known, rule):
            self._verify(known, todo)
        return known.effects

    @property
    def n_verified(self) -> int:
        """How many edges were run exactly."""
        return sum(len(known.error_seen) for known in self._known.values())

    @property
    def curvature(self) -> float:
        """What the curvature of a receiver is taken to be before its own edges are verified."""
        if not len(self._seen):
            return _LEAST_CURVATURE
        return max(_LEAST_CURVATURE, float(self._seen.quantile(_COMMON_SHARE)))

    def values(self) -> EdgeValues:
        """All effects: exact where verified."""
        exact = EdgeValues.unknown(self._graph)
        for receiver, known in self._known.items():
            exact.into(receiver).copy_(known.exact)
        return self._estimates.effects.replaced(exact)

    def report(self, rule: Selector, circuit: Circuit) -> Verification:
        """What was verified on the way to a circuit."""
        units = dict.fromkeys(map(self._graph.unit, receivers_of(circuit, self._graph)))
        reached = [self._of(unit) for unit in units]
        errors = torch.cat([known.error_seen for known in reached])
        curvatures = torch.cat([known.curvatures for known in reached])
        sampled = torch.cat([known.of_sampled(known.errors_made) for known in reached])
        bound = torch.cat([known.of_sampled(known.relative_errors) for known in reached])
        granted = max([self.curvature, *bound.tolist()])
        return Verification(
            estimated=sum(int((~known.estimate.isnan()).sum()) for known in reached),
            verified=len(errors),
            sampled=len(sampled),
            flipped=sum(_flipped(rule, known) for known in reached),
            largest_error=float(errors.max()) if len(errors) else 0.0,
            mean_error=float(sampled.mean()) if len(sampled) else None,
            curvature=float(curvatures.max()) if len(curvatures) else 0.0,
            missed_effect=max(self._largest_left_out(rule, known, granted) for known in reached),
            coverage=(1 - CONFIDENCE) ** (1 / len(sampled)) if len(sampled) else 0.0,
        )

    def _of(self, receiver: Receiver) -> _Known:
        unit = self._graph.unit(receiver)
        if unit not in self._known:
            estimate, left_out = self._estimates.effects.into(unit), self._left_out(unit)
            rounding = self._rounding * (_ROUNDING_OF_LOGITS if unit.is_logits else 1)
            self._known[unit] = _Known(unit, estimate, left_out, rounding)
        return self._known[unit]

    def _left_out(self, unit: Receiver) -> Float[Tensor, " sender"]:
        """What estimates may leave out; all of them where the estimator does not say."""
        estimate, remainders = self._estimates.effects.into(unit), self._estimates.remainders
        if remainders is None:
            return estimate.abs()
        remainder = remainders.into(unit)
        return remainder if unit.is_logits else remainder + _RELATIVE_ERROR * estimate.abs()

    def _next(self, known: _Known, rule: Selector) -> tuple[Node, ...]:
        """The edges to be run next; none when everything is decided and sampled."""
        if known.is_sure and self._is_precise:
            return ()
        errors = known.errors(self._curvature_of(known))
        if deciding := rule.deciding(known.effects, errors, known.receiver):
            return deciding
        if known.sampled is None and not known.is_sure:
            known.sampled = self._sample(known)
            return chosen(known.sampled, self._graph)
        return ()

    def _curvature_of(self, known: _Known) -> float:
        """What is taken for granted counts less with every curvature of the receiver's own."""
        own = known.curvatures.tolist()
        return max(_MARGIN * max(own, default=0.0), self.curvature / (1 + len(own)) ** 0.5)

    def _verify(self, known: _Known, senders: tuple[Node, ...]) -> None:
        columns = [self._graph.column(sender) for sender in senders]
        exact = list(self._measure(known.receiver, senders))
        known.exact[columns] = torch.tensor(exact, dtype=known.exact.dtype)
        self._seen = torch.cat([known.curvatures for known in self._known.values()])

    def _sample(self, known: _Known) -> Bool[Tensor, " sender"]:
        draw = torch.Generator().manual_seed(
            xxh64_intdigest(f"{self._seed} {known.receiver}".encode()) >> 1
        )
        drawn = torch.rand(len(self._graph.senders), generator=draw)[: len(known.left)]
        return (drawn < self._sample_share) & known.left

    def _largest_left_out(self, rule: Selector, known: _Known, curvature: float) -> float:
        """The largest effect that an edge left out unverified may have."""
        if known.is_sure or not known.left.any():
            return 0.0
        most = (known.effects.abs() + known.errors(curvature)).where(known.left, 0.0)
        for sender in rule.select(known.effects, known.receiver):
            most[self._graph.column(sender)] = 0.0
        return float(most.max())


def verified_growth(
    verifier: Verifier,
    rules: Sequence[Selector],
    visit: Visit = lambda receiver: None,
) -> list[Circuit]:
    """Grow a circuit for each rule until nothing learned on the way asks for more.

    `visit` is called with every receiver that is looked at.
    """
    graph = verifier.values().graph

    def grown(rule: Selector) -> Circuit:
        def effects_of(receiver: Receiver) -> Float[Tensor, " sender"]:
            visit(receiver)
            return verifier.effects(receiver, rule)

        return grow(effects_of, rule, graph)

    while True:
        n_verified = verifier.n_verified
        circuits = [grown(rule) for rule in rules]
        if verifier.n_verified == n_verified:
            return circuits


def _flipped(rule: Selector, known: _Known) -> int:
    estimated = rule.select(known.estimate, known.receiver)
    return len(set(estimated) ^ set(rule.select(known.effects, known.receiver)))
