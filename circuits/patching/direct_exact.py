"""Exact effects of direct edges: one edge corrupted, and all that lies behind it run again.

Nothing below the receiver can differ from the clean run, which is run once.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.circuit import every_edge
from circuits.components import Node, Receiver
from circuits.forward.activations import Batch
from circuits.masking import NodeOutputs, WeightedEdges
from circuits.patching.by_receiver import ByReceiver
from circuits.patching.estimators import ChangesInto

_MOST_EDGES = 16
_STREAMS_OF_ROW = 8
"""A row of (sender, token) passes a layer in about as much memory as so many residual streams."""


class _DirectExact(ByReceiver):
    """The definition, with what lies below the receiver run once."""

    name = "exact"
    description = "the same numbers, with what lies below the receiver run once"

    def open(self, batch: Batch, max_rows: int, kept_bytes: int) -> ChangesInto:
        """Run the clean prompts once for all edges."""
        outputs = NodeOutputs.of(batch.paired)
        held = len(outputs.graph.senders) * len(outputs.tokens)
        together = min(_MOST_EDGES, max(1, _STREAMS_OF_ROW * max_rows // held))
        clean = WeightedEdges(outputs, every_edge(outputs.graph).float())
        return lambda receiver, senders: metric_changes(clean, receiver, senders, together)


EXACT = _DirectExact()


def metric_changes(
    clean: WeightedEdges, receiver: Receiver, senders: tuple[Node, ...], together: int
) -> Float[Tensor, "sender prompt"]:
    """Metric minus clean metric with each edge from the senders corrupted, some at once."""
    graph, found = clean.outputs.graph, []
    row = graph.row(receiver)
    for columns in torch.tensor([graph.column(sender) for sender in senders]).split(together):
        without = clean.weights.repeat(len(columns), 1, 1)
        without[torch.arange(len(columns)), row, columns] = 0
        found.append(WeightedEdges(clean.outputs, without, like=clean).metric - clean.metric)
    return torch.cat(found)
