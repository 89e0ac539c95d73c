"""Estimators that measure one receiver after the other: all edges are one receiver at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod

from einops import rearrange

from circuits.components import Head
from circuits.forward.activations import Batch
from circuits.patching.estimators import ChangesInto
from circuits.patching.sums import EdgeSums
from circuits.runtime.progress import SILENT, Progress


class ByReceiver(ABC):
    """A `ReceiverEstimator` by its `open` alone."""

    name: str
    description: str
    is_exact = True
    has_remainders = False

    @abstractmethod
    def open(self, batch: Batch, max_rows: int, kept_bytes: int) -> ChangesInto:
        """A function from a receiver and senders to changes on a batch of prompts."""

    def add(
        self,
        batch: Batch,
        heads: tuple[Head, ...],
        sums: EdgeSums,
        max_rows: int,
        progress: Progress = SILENT,
    ) -> None:
        """Measure every receiver, from the top down: what is kept serves the next."""
        changes_into, graph = self.open(batch, max_rows, 0), sums.changes.graph
        among = frozenset(graph.with_others(heads))
        reading = [
            receiver
            for receiver in reversed(graph.receivers)
            if receiver.is_logits or not among.isdisjoint(graph.readers(receiver))
        ]
        for receiver, part in progress.each(reading):
            senders = tuple(s for s in graph.senders_below(receiver) if s in among)
            if senders:
                changes = changes_into(receiver, senders)
                sums.add(
                    [receiver], senders, rearrange(changes, "sender prompt -> sender prompt 1")
                )
            part(1.0)
