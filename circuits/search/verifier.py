"""Effects that are exact wherever a selection rests on them. Knows no model; see `verification`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from xxhash import xxh64_intdigest

from circuits.circuit import Circuit
from circuits.components import Node, Receiver
from circuits.patching import EdgeEstimates, EdgeValues
from circuits.search.grow import Selector, chosen, receivers_of
from circuits.search.known import Known
from circuits.search.verification import Look, Verification, coverage

Measure = Callable[[Receiver, tuple[Node, ...]], Iterable[float]]
"""Exact effects of some senders on a receiver."""
Paths = Bool[Tensor, "receiver sender"]
"""Mask of some of a graph's edges."""

_LEAST_CURVATURE = 1.0
_RELATIVE_ERROR = 0.05
_COMMON_SHARE = 0.95
_MARGIN = 2.0
ROUNDING = {torch.float64: 2e-6, torch.float32: 2e-6, torch.float16: 2e-4, torch.bfloat16: 1e-3}
"""Rounding of a head's estimate by the precision of the sweep, seen on SmolLM2."""
ROUNDING_OF_LOGITS = 10.0
"""How many times larger that of the logits is: they are large, and their difference is not."""


class Verifier:
    """Effects on receivers, exact wherever a selection rests on them.

    What one rule had verified serves all others.

    Attributes:
        graph: What the edges are.
        n_sampled: How many of the decided edges each random sample of them has.
        curvature: What that of a receiver is taken to be before its own edges are verified.

    >>> from circuits.search.threshold import ThresholdSelector
    >>> exact = lambda receiver, senders: [effects.of(sender, receiver) for sender in senders]
    >>> verifier = Verifier(EdgeEstimates(effects, None), exact, n_sampled=0, seed=0)
    >>> verifier.effects(Receiver.logits(), ThresholdSelector(rule, graph)).shape
    torch.Size([12])
    """

    def __init__(
        self,
        estimates: EdgeEstimates,
        measure: Measure,
        n_sampled: int,
        seed: int,
        precision: torch.dtype = torch.float32,
    ) -> None:
        """Verify what decides, and some of the other edges at random.

        Args:
            estimates: Of every edge, normalised.
            measure: Exact effects of some senders on a receiver, in the order of the senders.
            n_sampled: How many edges each random sample of the decided ones has.
            seed: Seed of these samples.
            precision: The one that the estimates were computed in.

        """
        self._estimates, self._measure = estimates, measure
        self.graph = estimates.effects.graph
        self.n_sampled, self._seed, self._n_looks = n_sampled, seed, 0
        self._rounding = ROUNDING[precision]
        self._is_precise = precision.itemsize >= torch.float32.itemsize
        self._known: dict[Receiver, Known] = {}
        self.curvature = _LEAST_CURVATURE

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

    def values(self) -> EdgeValues:
        """All effects: exact where verified."""
        exact = EdgeValues.unknown(self.graph)
        for receiver, known in self._known.items():
            exact.into(receiver).copy_(known.exact)
        return self._estimates.effects.replaced(exact)

    def left_out(self, rule: Selector, circuit: Circuit) -> Paths:
        """The paths into receivers of a circuit that its rule drops on an estimate alone."""
        mask = self._no_paths()
        for known in self._open(circuit):
            mask[self._row(known)] = known.left
            for sender in rule.select(known.effects, known.receiver):
                mask[self.graph.row(known.receiver), self.graph.column(sender)] = False
        return mask

    def look(self, rules: Sequence[Selector], circuits: Sequence[Circuit]) -> list[Look]:
        """Run a random sample of what is estimated alone among the paths into some receivers.

        Those of all circuits are one sample; a look for each rule is what it says of that one.
        """
        self._n_looks += 1
        left_out = [self.left_out(*one) for one in zip(rules, circuits, strict=True)]
        pool = self._no_paths()
        for known in (known for circuit in circuits for known in self._open(circuit)):
            pool[self._row(known)] = known.left
        drawn = self._drawn(pool)
        for row in drawn.any(1).nonzero()[:, 0].tolist():
            known = self._of(self.graph.receivers[row])
            sampled = drawn[self._row(known)]
            known.sampled |= sampled
            self._verify(known, chosen(sampled, self.graph))
        return [Look(self._n_looks, mask, mask & drawn) for mask in left_out]

    def report(self, rule: Selector, circuit: Circuit, look: Look | None = None) -> Verification:
        """What was verified on the way to a circuit, and what the last look says of the rest."""
        reached = list(self._reached(circuit))
        errors = torch.cat([known.error_seen for known in reached])
        curvatures = torch.cat([known.curvatures for known in reached])
        sampled = torch.cat([known.errors_made[known.sampled] for known in reached])
        left_out = self.left_out(rule, circuit)
        return Verification(
            estimated=sum(int((~known.estimate.isnan()).sum()) for known in reached),
            verified=len(errors),
            sampled=len(sampled),
            flipped=sum(_flipped(rule, known) for known in reached),
            largest_error=float(errors.max()) if len(errors) else 0.0,
            mean_error=float(sampled.mean()) if len(sampled) else None,
            curvature=float(curvatures.max()) if len(curvatures) else 0.0,
            missed_effect=self._largest(reached, left_out, look),
            coverage=coverage(look, left_out),
        )

    def _reached(self, circuit: Circuit) -> Iterator[Known]:
        """What is known of every receiver that a search which found a circuit has looked at."""
        units = dict.fromkeys(map(self.graph.unit, receivers_of(circuit, self.graph)))
        yield from map(self._of, units)

    def _open(self, circuit: Circuit) -> Iterator[Known]:
        """Those of them whose estimates need any verification."""
        yield from (known for known in self._reached(circuit) if not self._is_settled(known))

    def _is_settled(self, known: Known) -> bool:
        return known.is_exact and self._is_precise

    def _no_paths(self) -> Paths:
        return torch.zeros(self._estimates.effects.values.shape, dtype=torch.bool)

    def _row(self, known: Known) -> tuple[int, slice]:
        """The place of a receiver's paths."""
        return self.graph.row(known.receiver), self.graph.below(known.receiver)

    def _of(self, receiver: Receiver) -> Known:
        unit = self.graph.unit(receiver)
        if unit not in self._known:
            estimate, left_out = self._estimates.effects.into(unit), self._left_out(unit)
            rounding = self._rounding * (ROUNDING_OF_LOGITS if unit.is_logits else 1)
            says_exact = unit.is_logits and self._estimates.remainders is not None
            is_exact = says_exact and not bool(left_out.nan_to_num(0.0).any())
            self._known[unit] = Known(unit, estimate, left_out, rounding, is_exact)
        return self._known[unit]

    def _left_out(self, unit: Receiver) -> Float[Tensor, " sender"]:
        """What estimates may leave out; all of them where the estimator does not say."""
        estimate, remainders = self._estimates.effects.into(unit), self._estimates.remainders
        if remainders is None:
            return estimate.abs()
        remainder = remainders.into(unit)
        return remainder if unit.is_logits else remainder + _RELATIVE_ERROR * estimate.abs()

    def _next(self, known: Known, rule: Selector) -> tuple[Node, ...]:
        """The edges to be run next; none when everything is decided."""
        if self._is_settled(known):
            return ()
        errors = known.errors(self._curvature_of(known))
        return rule.deciding(known.effects, errors, known.receiver)

    def _curvature_of(self, known: Known) -> float:
        """What is taken for granted counts less with every curvature of the receiver's own."""
        own = known.curvatures.tolist()
        return max(_MARGIN * max(own, default=0.0), self.curvature / (1 + len(own)) ** 0.5)

    def _verify(self, known: Known, senders: tuple[Node, ...]) -> None:
        exact = list(self._measure(known.receiver, senders))
        known.learn([self.graph.column(sender) for sender in senders], exact)
        seen = torch.cat([known.curvatures for known in self._known.values()])
        self.curvature = _usual(seen)

    def _drawn(self, pool: Paths) -> Paths:
        """As many of the paths as a sample has; the same seed and paths give the same."""
        digest = xxh64_intdigest(f"{self._seed} {self._n_looks}".encode())
        places = pool.nonzero()
        order = torch.randperm(len(places), generator=torch.Generator().manual_seed(digest >> 1))
        drawn = self._no_paths()
        drawn[tuple(places[order[: self.n_sampled]].T)] = True
        return drawn

    def _largest(self, reached: Sequence[Known], left_out: Paths, look: Look | None) -> float:
        """The largest effect that was sampled, or that errors allow an edge left out unverified."""
        if not left_out.any():
            return 0.0
        scaled = [known.relative_errors.where(known.says_something, torch.nan) for known in reached]
        sampled = [of[known.sampled] for of, known in zip(scaled, reached, strict=True)]
        verified = [of[known.verified] for of, known in zip(scaled, reached, strict=True)]
        granted = max(_usual(torch.cat(verified)), _usual(torch.cat(sampled), share=1.0))
        most = [
            (known.effects.abs() + known.errors(granted))[left_out[self._row(known)]]
            for known in reached
        ]
        drawn = [] if look is None else [self.values().values[look.drawn].abs()]
        return float(torch.cat([*most, *drawn]).max())


def _usual(curvatures: Float[Tensor, " edge"], share: float = _COMMON_SHARE) -> float:
    """What nearly all edges stay below, but at least one; NaN: an edge that has none."""
    known = curvatures[~curvatures.isnan()]
    return max(_LEAST_CURVATURE, float(known.quantile(share))) if len(known) else _LEAST_CURVATURE


def _flipped(rule: Selector, known: Known) -> int:
    estimated = rule.select(known.estimate, known.receiver)
    return len(set(estimated) ^ set(rule.select(known.effects, known.receiver)))
