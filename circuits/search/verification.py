"""Making a circuit grown on estimates the one that exact effects give. Knows no model.

Estimates are first order behind the receiver. Their errors are learned: the exact effect of a
verified path tells its curvature, the ratio of its error to what the estimate may leave out. That
is the size of its remainder (`patching.remainder`), and a twentieth of the estimate itself: the
remainder scales with the whole residual stream, and where a few of its dimensions dwarf the rest
it is too small. On five tasks of SmolLM2 the errors of all effects above 0.002 stay, 95 times in
100, below 0.25 to 0.82 of the two together, and below 0.58 to 2.2 of the remainder alone (exact
effects: `benchmarks.exact`). Curvatures are of order one. A receiver of which few paths were
verified is taken to have one that 95 % of all verified paths stay below, at least 1; the more of
its own paths are verified, the more twice the largest of theirs counts instead.
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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from xxhash import xxh64_intdigest

from circuits.circuit import Circuit
from circuits.components import HEAD_INPUTS, Head, Receiver
from circuits.patching import EffectTable, SweptEffects
from circuits.search.grow import Selector, grow

Measure = Callable[[Receiver, tuple[Head, ...]], Float[Tensor, "layer head"]]
"""Exact effects of some senders on a receiver; NaN for all others."""
Visit = Callable[[Receiver], None]

CONFIDENCE = 0.95
_LEAST_CURVATURE = 1.0
_RELATIVE_ERROR = 0.05
_COMMON_SHARE = 0.95
_MARGIN = 2.0
_ROUNDING = {torch.float64: 2e-6, torch.float32: 2e-6, torch.float16: 2e-4, torch.bfloat16: 1e-3}
"""Rounding of a head's estimate by the precision of the sweep, seen on SmolLM2."""
_ROUNDING_OF_LOGITS = 10.0
"""How many times larger that of the logits is: they are large, and their difference is not."""


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


@dataclass(eq=False)
class _Known:
    """What is known of one receiver's effects; `left_out` has what each estimate may leave out."""

    receiver: Receiver
    estimate: Float[Tensor, "layer head"]
    left_out: Float[Tensor, "layer head"]
    rounding: float
    exact: Float[Tensor, "layer head"] = field(init=False)
    sampled: tuple[Head, ...] | None = None

    def __post_init__(self) -> None:
        self.exact = torch.full_like(self.estimate, torch.nan)

    @property
    def effects(self) -> Float[Tensor, "layer head"]:
        return self.exact.where(~self.exact.isnan(), self.estimate)

    @property
    def left(self) -> Bool[Tensor, "layer head"]:
        """Mask of the paths that are estimated alone."""
        return ~self.estimate.isnan() & self.exact.isnan()

    @property
    def errors_made(self) -> Float[Tensor, "layer head"]:
        """Errors of the estimates; NaN where no exact effect is known."""
        return (self.exact - self.estimate).abs()

    @property
    def curvature_map(self) -> Float[Tensor, "layer head"]:
        """Errors beyond rounding, relative to what the estimates may leave out."""
        beyond = (self.errors_made - self.rounding).clamp(min=0)
        return beyond / (self.left_out + self.rounding)

    @property
    def error_seen(self) -> Float[Tensor, " path"]:
        return self.errors_made[~self.exact.isnan()]

    @property
    def curvatures(self) -> Float[Tensor, " path"]:
        """Those of all verified paths that tell one: of which not everything is rounding."""
        tells = (self.left_out > self.rounding) | (self.errors_made > self.rounding)
        return self.curvature_map[~self.exact.isnan() & tells]

    def of_sampled(self, values: Float[Tensor, "layer head"]) -> Float[Tensor, " path"]:
        """The values of the paths that were drawn at random."""
        heads = self.sampled or ()
        return values[[head.layer for head in heads], [head.index for head in heads]]

    def errors(self, curvature: float) -> Float[Tensor, "layer head"]:
        """How far each estimate may be off."""
        return (curvature * self.left_out + self.rounding).where(self.left, 0.0)


class Verifier:
    """Effects on receivers, exact wherever a selection rests on them.

    What one rule had verified serves all others.
    """

    def __init__(
        self,
        swept: SweptEffects,
        measure: Measure,
        sample_share: float,
        seed: int,
        precision: torch.dtype = torch.float32,
    ) -> None:
        """Verify what decides, and a share of the other paths at random.

        `precision` is the one that the estimates were computed in.
        """
        self._swept, self._measure = swept, measure
        self._sample_share, self._seed = sample_share, seed
        self._rounding = _ROUNDING[precision]
        self._is_precise = precision.itemsize >= torch.float32.itemsize
        self._known: dict[Receiver, _Known] = {}
        self._seen = torch.empty(0)

    def effects(self, receiver: Receiver, rule: Selector) -> Float[Tensor, "layer head"]:
        """Effects of all senders; the rule's selection cannot flip within their errors."""
        known = self._of(receiver)
        while todo := self._next(known, rule):
            self._verify(known, todo)
        return known.effects

    @property
    def n_verified(self) -> int:
        """How many paths were run exactly."""
        return sum(len(known.error_seen) for known in self._known.values())

    @property
    def curvature(self) -> float:
        """What the curvature of a receiver is taken to be before its own paths tell."""
        if not len(self._seen):
            return _LEAST_CURVATURE
        return max(_LEAST_CURVATURE, float(self._seen.quantile(_COMMON_SHARE)))

    def table(self) -> EffectTable:
        """All effects: exact where verified."""
        exact = {receiver: known.exact for receiver, known in self._known.items()}
        return self._swept.effects.replaced(exact)

    def report(self, rule: Selector, circuit: Circuit) -> Verification:
        """What was verified on the way to a circuit."""
        units = dict.fromkeys(map(self._swept.effects.shared, receivers_of(circuit)))
        reached = [self._of(unit) for unit in units]
        errors = torch.cat([known.error_seen for known in reached])
        curvatures = torch.cat([known.curvatures for known in reached])
        sampled = torch.cat([known.of_sampled(known.errors_made) for known in reached])
        bound = torch.cat([known.of_sampled(known.curvature_map) for known in reached])
        granted = max([self.curvature, *bound.tolist()])
        return Verification(
            estimated=sum(int((~known.estimate.isnan()).sum()) for known in reached),
            verified=len(errors),
            sampled=len(sampled),
            flipped=sum(_flipped(rule, known) for known in reached),
            largest_error=float(errors.max()) if len(errors) else 0.0,
            mean_error=float(sampled.mean()) if len(sampled) else None,
            curvature=float(curvatures.max()) if len(curvatures) else 0.0,
            missed_effect=max(_largest_left_out(rule, known, granted) for known in reached),
            coverage=(1 - CONFIDENCE) ** (1 / len(sampled)) if len(sampled) else 0.0,
        )

    def _of(self, receiver: Receiver) -> _Known:
        unit = self._swept.effects.shared(receiver)
        if unit not in self._known:
            estimate, remainder = (
                table.effects(unit) for table in (self._swept.effects, self._swept.remainders)
            )
            if unit.head is None:
                known = _Known(unit, estimate, remainder, self._rounding * _ROUNDING_OF_LOGITS)
            else:
                left_out = remainder + _RELATIVE_ERROR * estimate.abs()
                known = _Known(unit, estimate, left_out, self._rounding)
            self._known[unit] = known
        return self._known[unit]

    def _next(self, known: _Known, rule: Selector) -> tuple[Head, ...]:
        """The paths to be run next; none when everything is decided and sampled."""
        if known.receiver.head is None and self._is_precise:
            return ()
        errors = known.errors(self._curvature_of(known))
        if deciding := rule.deciding(known.effects, errors, known.receiver):
            return deciding
        if known.sampled is None and known.receiver.head is not None:
            known.sampled = self._sample(known)
            return known.sampled
        return ()

    def _curvature_of(self, known: _Known) -> float:
        """What is taken for granted counts less with every path that tells the receiver's own."""
        own = known.curvatures.tolist()
        return max(_MARGIN * max(own, default=0.0), self.curvature / (1 + len(own)) ** 0.5)

    def _verify(self, known: _Known, senders: tuple[Head, ...]) -> None:
        exact = self._measure(known.receiver, senders)
        for head in senders:
            known.exact[head.layer, head.index] = exact[head.layer, head.index]
        self._seen = torch.cat([known.curvatures for known in self._known.values()])

    def _sample(self, known: _Known) -> tuple[Head, ...]:
        draw = torch.Generator().manual_seed(
            xxh64_intdigest(f"{self._seed} {known.receiver}".encode()) >> 1
        )
        chosen = torch.rand(known.left.shape, generator=draw) < self._sample_share
        return tuple(Head(*place) for place in (chosen & known.left).nonzero().tolist())


def verified_growth(
    verifier: Verifier,
    rules: Sequence[Selector],
    n_layers: int,
    n_heads: int,
    visit: Visit = lambda receiver: None,
) -> list[Circuit]:
    """Grow a circuit for each rule until nothing learned on the way asks for more.

    `visit` is told of every receiver that is looked at.
    """

    def grown(rule: Selector) -> Circuit:
        def effects_of(receiver: Receiver) -> Float[Tensor, "layer head"]:
            visit(receiver)
            return verifier.effects(receiver, rule)

        return grow(effects_of, rule, n_layers, n_heads)

    while True:
        n_verified = verifier.n_verified
        circuits = [grown(rule) for rule in rules]
        if verifier.n_verified == n_verified:
            return circuits


def receivers_of(circuit: Circuit) -> tuple[Receiver, ...]:
    """The receivers that a search which found this circuit has looked at."""
    heads = (head for head in sorted(circuit.heads) if head.layer > 0)
    return (Receiver.logits(), *(Receiver(head, name) for head in heads for name in HEAD_INPUTS))


def _largest_left_out(rule: Selector, known: _Known, curvature: float) -> float:
    """The largest effect that a path left out unverified may have."""
    if known.receiver.head is None:
        return 0.0
    most = (known.effects.abs() + known.errors(curvature)).where(known.left, 0.0)
    for head in rule.select(known.effects, known.receiver):
        most[head.layer, head.index] = 0.0
    return float(most.max())


def _flipped(rule: Selector, known: _Known) -> int:
    estimated = rule.select(known.estimate, known.receiver)
    return len(set(estimated) ^ set(rule.select(known.effects, known.receiver)))
