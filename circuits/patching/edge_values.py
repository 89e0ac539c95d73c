"""One number for every edge of a graph, and what estimates of effects are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.components import Node, Receiver
from circuits.errors import MismatchError, NoEffectError
from circuits.graph import ModelGraph


@dataclass(frozen=True, eq=False)
class EdgeValues:
    """One number for every edge: NaN where there is none, or where it is not known.

    Effects of paths are normalised: (metric - clean metric) / (clean metric - corrupted metric),
    means over prompts: 0 does nothing, -1 does all the harm that corrupting everything does. Scores
    (`circuits.edge_scores`) are in units of the metric, above 0 where an edge helps.

    Attributes:
        graph: What the edges are.
        values: By receiver and sender, in the order of the graph; where they are kept, by prompt.

    >>> effects.effects(Receiver.parse("2.0.q")).shape  # of every head; NaN where there is no path
    torch.Size([3, 4])
    """

    graph: ModelGraph
    values: Float[Tensor, "receiver sender *prompt"]

    def __post_init__(self) -> None:
        wanted = len(self.graph.receivers), len(self.graph.senders)
        if tuple(self.values.shape[:2]) != wanted:
            raise MismatchError(
                f"values of {self.graph.shape} must be {wanted[0]} receivers x {wanted[1]} "
                f"senders, got {' x '.join(map(str, self.values.shape))}"
            )

    @classmethod
    def unknown(cls, graph: ModelGraph, *n_prompts: int) -> EdgeValues:
        """NaN for every edge."""
        shape = len(graph.receivers), len(graph.senders), *n_prompts
        return cls(graph, torch.full(shape, torch.nan))

    def into(self, receiver: Receiver) -> Float[Tensor, "sender *prompt"]:
        """The values of the senders that a receiver may read, in order: a view.

        Raises:
            MismatchError: The model has no such receiver.

        """
        return self.values[self.graph.row(receiver), self.graph.below(receiver)]

    def effects(self, receiver: Receiver) -> Float[Tensor, "layer head *prompt"]:
        """The values of all heads as senders to one receiver (for k and v its group's).

        Raises:
            MismatchError: The model has no such receiver.

        """
        return self.by_head(self.values[self.graph.row(receiver)])

    def by_head(
        self, of_senders: Float[Tensor, "sender *prompt"]
    ) -> Float[Tensor, "layer head *prompt"]:
        """Numbers of all senders, in order, as those of the heads among them."""
        columns = [self.graph.column(head) for head in self.graph.heads]
        heads = of_senders if len(columns) == len(of_senders) else of_senders[columns]
        return rearrange(heads, "(layer head) ... -> layer head ...", layer=self.graph.n_layers)

    def of(self, sender: Node, receiver: Receiver) -> float:
        """The value of one edge; NaN where there is none. Raises MismatchError for other nodes."""
        return float(self.values[self.graph.row(receiver), self.graph.column(sender)])

    def among(self, nodes: Iterable[Node]) -> EdgeValues:
        """The edges between some nodes, and from them to the logits; NaN for all others."""
        chosen = frozenset(nodes)
        sends = torch.tensor([sender in chosen for sender in self.graph.senders])
        reads = torch.tensor(
            [
                receiver.is_logits or not chosen.isdisjoint(self.graph.readers(receiver))
                for receiver in self.graph.receivers
            ]
        )
        outside = ~(reads[:, None] & sends)
        outside = outside[(...,) + (None,) * (self.values.ndim - 2)]
        return replace(self, values=self.values.masked_fill(outside, torch.nan))

    def replaced(self, known: EdgeValues) -> EdgeValues:
        """A copy in which every value that is known, not NaN, stands in for one's own."""
        return replace(self, values=known.values.where(~known.values.isnan(), self.values))

    def put(self, receiver: Receiver, senders: Iterable[Node], values: Iterable[float]) -> None:
        """Set the values of some senders to one receiver, in place.

        Raises:
            MismatchError: The graph has no such edge.

        """
        senders = list(senders)
        self.graph.read_by(receiver, senders)
        columns = [self.graph.column(sender) for sender in senders]
        row = self.values[self.graph.row(receiver)]
        row[columns] = torch.tensor(list(values), dtype=row.dtype)

    @property
    def n_known(self) -> int:
        """How many edges have a value."""
        return int((~self.values.isnan()).sum())


@dataclass(frozen=True, eq=False)
class EdgeEstimates:
    """Estimated effects, and how far off each may be.

    Attributes:
        effects: Normalised effects.
        remainders: The size of what each estimate leaves out, in the same unit (`remainder.py`):
            the error of an edge is about its entry times a number of order one, which verification
            learns. Zero where the estimate is exact; None where the estimator gives no such size.

    >>> estimates = EdgeEstimates(effects, remainders=None)
    >>> estimates.among([Head(1, 2)]).effects.n_known  # its edge to the logits alone
    1
    """

    effects: EdgeValues
    remainders: EdgeValues | None

    def among(self, nodes: Iterable[Node]) -> EdgeEstimates:
        """The edges between some nodes, and from them to the logits; NaN for all others."""
        nodes = tuple(nodes)
        remainders = None if self.remainders is None else self.remainders.among(nodes)
        return EdgeEstimates(self.effects.among(nodes), remainders)


def checked_scale(scale: float) -> float:
    """The summed difference of clean and corrupted metric. Raises NoEffectError where it is 0."""
    if not abs(scale) > 1e-12:
        raise NoEffectError(
            f"clean minus corrupted metric is {scale:.3g}: effects are measured against that "
            "difference, so the task needs prompts that the corruption changes"
        )
    return scale


def node_mask(nodes: Iterable[Node], graph: ModelGraph) -> Bool[Tensor, " sender"]:
    """Which senders are among some nodes."""
    chosen = frozenset(nodes)
    return torch.tensor([sender in chosen for sender in graph.senders])
