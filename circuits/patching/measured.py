"""Effects on one receiver at a time, sharing all that receivers have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import Node, Receiver
from circuits.forward.activations import Activations
from circuits.forward.finite import check_finite
from circuits.patching.edge_values import EdgeValues, checked_scale
from circuits.patching.estimators import ChangesInto, ReceiverEstimator
from circuits.patching.plan import SENDERS_TOGETHER, Plan, plan_work
from circuits.runtime.shrinking import Shrinking
from circuits.tasks import PromptPairs

_TOGETHER = Shrinking("prompts")
Learn = Callable[[Receiver, Sequence[Node], Sequence[float]], None]
Groups = Sequence[tuple[Node, ...]]
Elsewhere = Callable[[Receiver, Groups], Iterable[Sequence[float]]]
"""Measures the effects of several groups of senders on a receiver at once."""


class MeasuredEffects:
    """Effects on one receiver at a time, measured when they are asked for.

    Nothing is computed twice, and nothing at all that was known before.

    Attributes:
        known: Every effect that is known.

    >>> from circuits.patching import ESTIMATORS
    >>> measured = MeasuredEffects(activations, ESTIMATORS.get("exact"), EdgeValues.unknown(graph))
    >>> measured.into(Receiver.parse("2.0.q"), graph.heads[:2]).shape  # of all heads below
    torch.Size([8])
    >>> measured.known.n_known
    2
    """

    def __init__(
        self,
        activations: Activations,
        estimator: ReceiverEstimator,
        known: EdgeValues,
        memory_bytes: int | None = None,
        learn: Learn = lambda receiver, senders, effects: None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """Measure what is not in `known`, and put it there.

        Args:
            activations: The model on the prompts.
            estimator: An entry of `ESTIMATORS` that measures single receivers.
            known: Effects that are known already; those measured are added in place.
            memory_bytes: About how much memory to use; a safe share of what is free without.
            learn: Called with a receiver, senders and their effects when these become known.
            elsewhere: Measures more senders than are measured at once; done here without.

        """
        self._activations, self._estimator = activations, estimator
        self._elsewhere = elsewhere
        self._memory_bytes, self._learn = memory_bytes, learn
        self._opened: tuple[int, list[tuple[PromptPairs, ChangesInto]]] | None = None
        self.known = known

    def into(
        self, receiver: Receiver, senders: Iterable[Node] | None = None
    ) -> Float[Tensor, " sender"]:
        """Normalised effects of the senders below a receiver; NaN for those not asked for.

        Raises:
            MismatchError: The model has no such receiver.
            NoEffectError: Clean and corrupted metric are equal.
            NonFiniteError: An effect is NaN or infinite on some prompts.

        """
        graph = self.known.graph
        below = graph.senders_below(receiver)
        wanted = frozenset(below if senders is None else senders)
        known = self.known.into(receiver)
        missing = [
            sender
            for sender, is_unknown in zip(below, known.isnan().tolist(), strict=True)
            if is_unknown and sender in wanted
        ]
        starts, unit = range(0, len(missing), SENDERS_TOGETHER), graph.unit(receiver)
        groups = [tuple(missing[start : start + SENDERS_TOGETHER]) for start in starts]
        for group, effects in zip(groups, self._each(unit, groups), strict=True):
            self.known.put(receiver, group, effects)
            self._learn(unit, group, effects)
        asked = torch.tensor([sender in wanted for sender in below], dtype=torch.bool)
        return known.where(asked, torch.nan)

    def of(self, receiver: Receiver, senders: Sequence[Node]) -> list[float]:
        """Normalised effects of some senders below a receiver, in their order."""
        effects, graph = self.into(receiver, senders), self.known.graph
        return [float(effects[graph.column(sender)]) for sender in senders]

    @cached_property
    def _plan(self) -> Plan:
        activations, heads = self._activations, self.known.graph.heads
        return plan_work(
            activations.model, activations.pairs, heads, self._memory_bytes, SENDERS_TOGETHER
        )

    def _open(self, size: int) -> list[tuple[PromptPairs, ChangesInto]]:
        """Each batch of so many prompts, and the estimator on it; what was opened before is left.

        Where there was less memory than was planned for, nothing is kept.
        """
        if self._opened is None or self._opened[0] != size:
            plan, self._opened = self._plan, None
            kept = plan.kept_bytes // plan.n_batches if size == plan.batch_size else 0
            rows = max(1, plan.max_rows * size // plan.batch_size)
            batches = self._activations.split(size)
            opened = [(one.pairs, self._estimator.open(one, rows, kept)) for one in batches]
            self._opened = size, opened
        return self._opened[1]

    @cached_property
    def _scale(self) -> float:
        clean, corrupted = self._activations.clean_metric, self._activations.corrupted_metric
        return checked_scale(float((clean - corrupted).double().sum()))

    def _each(self, receiver: Receiver, groups: Groups) -> Iterable[Sequence[float]]:
        if self._elsewhere is not None and len(groups) > 1:
            return self._elsewhere(receiver, groups)
        return (self.measure(receiver, group) for group in groups)

    def measure(self, receiver: Receiver, senders: tuple[Node, ...]) -> list[float]:
        """Normalised effects of some senders below a receiver, measured anew."""
        bridge = self._activations.model.bridge

        def sums(size: int) -> list[Float[Tensor, " sender"]]:
            found = []
            for pairs, changes_into in self._open(size):
                changes = changes_into(receiver, senders)
                check_finite(bridge, "an effect", changes, [pairs.clean, pairs.corrupted])
                found.append(changes.cpu().double().sum(-1))
            return found

        found = _TOGETHER.run(self._plan.batch_size, sums)
        return (torch.stack(found).sum(0) / self._scale).tolist()
