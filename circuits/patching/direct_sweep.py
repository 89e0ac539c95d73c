"""Effects of all direct edges at once: exact up to what the receiver gives, first order behind it.

Below a receiver all is as in the clean run, so that every sender's change passes this one layer
alone: norms, softmax and MLP of the receiver are computed anew, and the change of its output is
contracted with the gradient of the metric there, taken on the clean run. The logits are exact.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from circuits.circuit import every_edge
from circuits.components import Head, Node
from circuits.forward.activations import Batch
from circuits.graph import ModelGraph
from circuits.masking import NodeOutputs, WeightedEdges
from circuits.patching.exact_receivers import ExactReceivers
from circuits.patching.sums import EdgeSums
from circuits.runtime.progress import SILENT, Progress


class _DirectSweep:
    """Every sender on every receiver, layer by layer."""

    name = "sweep"
    description = (
        "every edge at once: exact up to what the receiver gives, first order behind it; exact for "
        "the logits"
    )
    is_exact = False
    has_remainders = True

    def add(
        self,
        batch: Batch,
        heads: tuple[Head, ...],
        sums: EdgeSums,
        max_rows: int,
        progress: Progress = SILENT,
    ) -> None:
        """Add what corrupting each edge of a batch changes to `sums`.

        Of an estimate as much as itself may be left out: how far the metric bends behind a receiver
        is not looked at.
        """
        outputs = NodeOutputs.of(batch.paired)
        clean = WeightedEdges(outputs, every_edge(outputs.graph).float())
        slopes = clean.backward(outputs.change).by_output
        with torch.no_grad():
            lost = ExactReceivers(clean.upward, max_rows).of_all(slopes, progress)
        _add(-lost, outputs.graph, frozenset(outputs.graph.with_others(heads)), sums)


SWEEP = _DirectSweep()


def _add(
    changes: Float[Tensor, "receiver sender prompt"],
    graph: ModelGraph,
    among: frozenset[Node],
    sums: EdgeSums,
) -> None:
    """Add the changes of the edges among some nodes, and from them to the logits."""
    for row, receiver in enumerate(graph.receivers):
        senders = [sender for sender in graph.senders_below(receiver) if sender in among]
        if receiver.is_logits or receiver.node in among:
            columns = [graph.column(sender) for sender in senders]
            found = rearrange(changes[row, columns], "sender prompt -> sender prompt 1")
            left_out = torch.zeros_like(found) if receiver.is_logits else found.abs()
            sums.add([receiver], senders, found, left_out)
