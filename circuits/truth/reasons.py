"""Why a search of paths missed a true head, or found another one: by which path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from circuits.components import HEAD_INPUTS, Connection, Head, Receiver
from circuits.discovery.result import Discovery
from circuits.discovery.session import Session
from circuits.patching import ESTIMATORS, EdgeValues, MeasuredEffects
from circuits.patching.paths import receiver_estimator
from circuits.search import ThresholdSelector
from circuits.truth.ground import GroundTruth


def reasons(truth: GroundTruth, found: Discovery, session: Session) -> tuple[str, ...]:
    """One sentence for each path of a head that was missed, and of one that is not true.

    Nothing is said of methods that look at no paths.
    """
    if found.effects is None:
        return ()
    search = _Search(truth, found, found.effects, session)
    missed = sorted(truth.heads - found.circuit.heads)
    return (*(line for head in missed for line in search.missed(head)), *search.false())


@dataclass(frozen=True, eq=False)
class _Search:
    """A finished search, its effects and prompts, beside the truth."""

    truth: GroundTruth
    found: Discovery
    effects: EdgeValues
    session: Session

    def missed(self, head: Head) -> Iterator[str]:
        """For each path by which a head could have been found, why it was not."""
        if head not in self.found.candidates:
            yield self._pruned(head)
            return
        for path in self._paths_of(head):
            reader = path.receiver.head
            if reader is not None and reader not in self.found.circuit.heads:
                yield f"{path} was not looked at, for {reader} was not found"
            else:
                yield f"{path}: {self._size(path)}, {self._obstacle(path)}"

    def false(self) -> Iterator[str]:
        """The paths by which heads were found that are not true, strongest first."""
        edges = (e for e in self.found.circuit.edges if e.sender not in self.truth.heads)
        for edge in sorted(edges, key=lambda edge: -abs(edge.effect)):
            largest = self._largest(edge.receiver)
            yield f"{edge} stood out; the largest effect on {edge.receiver} is {largest:.3f}"

    def _pruned(self, head: Head) -> str:
        """By which scores, and what the strongest of its paths really does."""
        scores = ", ".join(
            f"{name} {values[head.layer, head.index]:.3g} of at most {values.max():.3g}"
            for name, values in self.found.scores.items()
        )
        effects = {path: self._exact(path) for path in self._paths_of(head)}
        path = max(effects, key=lambda path: abs(effects[path]))
        return f"{head} was pruned ({scores}), though {path} has exactly {effects[path]:+.3f}"

    def _paths_of(self, head: Head) -> list[Connection]:
        """The true paths from a head; where they are not known, all into the true circuit."""
        if self.truth.connections is not None:
            return sorted(path for path in self.truth.connections if path.sender == head)
        above = sorted(other for other in self.truth.heads if other.layer > head.layer)
        receivers = [Receiver(other, name) for other in above for name in HEAD_INPUTS]
        return [Connection(head, receiver) for receiver in (*receivers, Receiver.logits())]

    def _size(self, path: Connection) -> str:
        measured = self.effects.of(path.sender, path.receiver)
        if ESTIMATORS.get(self.found.config.engine).is_exact:
            return f"{measured:+.3f}"
        return f"estimated as {measured:+.3f}, exactly {self._exact(path):+.3f}"

    def _exact(self, path: Connection) -> float:
        return self._measured.of(path.receiver, [path.sender])[0]

    @cached_property
    def _measured(self) -> MeasuredEffects:
        session = self.session
        return MeasuredEffects(
            session.exact_activations, receiver_estimator("exact"), session.store.known
        )

    def _obstacle(self, path: Connection) -> str:
        rule, receiver = self.found.config.selection, path.receiver
        if self._largest(receiver) <= rule.min_effect:
            return f"no effect on {receiver} exceeds {rule.min_effect:.3f}, the least that counts"
        selector = ThresholdSelector(rule, self.effects.graph)
        limits = selector.limits(self.effects.into(receiver), receiver)
        limit = float(limits[self.effects.graph.column(path.sender)])
        return f"which does not exceed {limit:.3f}, what stands out on {receiver}"

    def _largest(self, receiver: Receiver) -> float:
        return float(self.effects.into(receiver).abs().nan_to_num(0.0).max())
