"""One number for every edge of a graph, and what estimates of effects are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor

from circuits.components import Head, Node, Receiver
from circuits.errors import MismatchError, NoEffectError, NonFiniteError
from circuits.graph import ModelGraph


@dataclass(frozen=True, eq=False)
class EdgeValues:
    """One number for every edge: NaN where there is none, or where it is not known.

    Effects are normalised: (metric - clean metric) / (clean metric - corrupted metric), means over
    prompts: 0 does nothing, -1 does all the harm that corrupting everything does.

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
        columns = [self.graph.column(sender) for sender in senders]
        for sender, column in zip(senders, columns, strict=True):
            if column >= self.graph.below(receiver).stop:
                raise MismatchError(f"{receiver} does not read {sender}, which writes later")
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


class EdgeSums:
    """What an estimator finds, batch by batch: one number for each edge and prompt.

    What is added stays on its device until a batch is finished, so that a GPU never waits.

    Attributes:
        changes: Changes of the metric; NaN before a prompt is measured.
        remainders: Sizes of what they leave out; None where the estimator gives none.
        scale: Clean minus corrupted metric, summed over prompts.
        batches: How many batches are in the sums.
        batch_size: Prompts in a batch.

    >>> sums = EdgeSums(graph, n_prompts=4, batch_size=4)
    >>> sums.add([Receiver.logits()], [Head(1, 2)], changes=-torch.ones(1, 4, 1))
    >>> sums.finish_batch(torch.arange(4), clean=2 * torch.ones(4), corrupted=torch.zeros(4))
    >>> sums.is_whole, sums.normalised().effects.of(Head(1, 2), Receiver.logits())
    (True, -0.5)
    """

    def __init__(
        self, graph: ModelGraph, n_prompts: int, batch_size: int, *, has_remainders: bool = True
    ) -> None:
        """Begin with no batch: NaN for every edge and prompt."""
        self.changes = EdgeValues.unknown(graph, n_prompts)
        self.remainders = EdgeValues.unknown(graph, n_prompts) if has_remainders else None
        self.scale, self.batches, self.batch_size = 0.0, 0, batch_size
        self._waiting: list[tuple[EdgeValues, list[int], list[int], Tensor]] = []

    @property
    def is_whole(self) -> bool:
        """Whether every prompt is in the sums."""
        # Batches are counted, and may be smaller than their size.
        known = ~self.changes.values.isnan()
        return bool(reduce(known, "receiver sender prompt -> prompt", "any").all())

    def add(
        self,
        receivers: Iterable[Receiver],
        senders: Iterable[Node],
        changes: Float[Tensor, "sender prompt receiver"],
        remainders: Float[Tensor, "sender prompt receiver"] | None = None,
    ) -> None:
        """Add the edges from some senders to some receivers, for the prompts of a batch."""
        graph = self.changes.graph
        rows = [graph.row(receiver) for receiver in receivers]
        columns = [graph.column(sender) for sender in senders]
        for kind, values in ((self.changes, changes), (self.remainders, remainders)):
            if kind is not None and values is not None:
                self._waiting.append((kind, rows, columns, values))

    def finish_batch(
        self,
        prompts: Int[Tensor, " prompt"],
        clean: Float[Tensor, " prompt"],
        corrupted: Float[Tensor, " prompt"],
    ) -> None:
        """Take in a batch: which prompts they are, and their clean and corrupted metric.

        A remainder that is no number is infinite: nothing is known of that estimate's error.

        Raises:
            NonFiniteError: A change is NaN or infinite.

        """
        self.take_in(prompts)
        self.scale += float((clean.cpu().double() - corrupted.cpu().double()).sum())
        self.batches += 1

    def take_in(self, prompts: Int[Tensor, " prompt"]) -> None:
        """Take in what was added of some of a batch's prompts. Raises as `finish_batch` does."""
        for kind, rows, columns, values in self._waiting:
            row, column = (torch.tensor(places, dtype=torch.long) for places in (rows, columns))
            place = (row[:, None, None], column[:, None], prompts.cpu())
            found = values.float().cpu()
            if kind is self.changes:
                _check_changes(found)
            else:
                found = found.nan_to_num(torch.inf, torch.inf)
            kind.values[place] = rearrange(found, "sender prompt unit -> unit sender prompt")
        self._waiting.clear()

    def forget(self) -> None:
        """Leave out what was added and not yet taken in."""
        self._waiting.clear()

    def normalised(self) -> EdgeEstimates:
        """Normalised effects, and remainders in the same unit.

        Raises:
            NoEffectError: Clean and corrupted metric are equal.

        """
        scale = checked_scale(self.scale)
        remainders = self.remainders
        return EdgeEstimates(
            _summed(self.changes, scale),
            None if remainders is None else _summed(remainders, abs(scale)),
        )

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name, for saving."""
        progress = torch.tensor([self.scale, self.batches, self.batch_size], dtype=torch.float64)
        named = {"progress": progress, "changes": self.changes.values}
        return named if self.remainders is None else named | {"remainders": self.remainders.values}

    @classmethod
    def of_tensors(cls, graph: ModelGraph, tensors: Mapping[str, Tensor]) -> EdgeSums:
        """What `tensors` gave. Raises KeyError where something is missing."""
        scale, batches, batch_size = tensors["progress"].tolist()
        changes, remainders = EdgeValues(graph, tensors["changes"]), tensors.get("remainders")
        found = cls(graph, changes.values.shape[-1], int(batch_size), has_remainders=False)
        found.scale, found.batches, found.changes = scale, int(batches), changes
        found.remainders = None if remainders is None else EdgeValues(graph, remainders)
        return found

    @classmethod
    def joined(cls, parts: Sequence[tuple[Int[Tensor, " prompt"], EdgeSums]]) -> EdgeSums:
        """Whole sums of some of the prompts each, with the places of these among all of them."""
        first, n_prompts = parts[0][1], sum(len(prompts) for prompts, _ in parts)
        has_remainders = first.remainders is not None
        found = cls(first.changes.graph, n_prompts, n_prompts, has_remainders=has_remainders)
        for prompts, sums in parts:
            found.changes.values[..., prompts] = sums.changes.values
            if found.remainders is not None and sums.remainders is not None:
                found.remainders.values[..., prompts] = sums.remainders.values
            found.scale += sums.scale
        found.batches = 1
        return found


def _check_changes(changes: Float[Tensor, "sender prompt receiver"]) -> None:
    bad = ~reduce(changes.isfinite(), "sender prompt receiver -> prompt", "all")
    if bad.any():
        raise NonFiniteError(
            f"an effect is NaN or infinite on {int(bad.sum())} of {len(bad)} prompts that were run "
            "together, so that nothing can be told from it: load the model in float32 or bfloat16 "
            "(dtype, --dtype)"
        )


def checked_scale(scale: float) -> float:
    """The summed difference of clean and corrupted metric. Raises NoEffectError where it is 0."""
    if not abs(scale) > 1e-12:
        raise NoEffectError(
            f"clean minus corrupted metric is {scale:.3g}: effects are measured against that "
            "difference, so the task needs prompts that the corruption changes"
        )
    return scale


def head_mask(heads: Iterable[Head], graph: ModelGraph) -> Bool[Tensor, " sender"]:
    """Which senders are among some heads."""
    chosen = frozenset(heads)
    return torch.tensor([sender in chosen for sender in graph.senders])


def _summed(values: EdgeValues, scale: float) -> EdgeValues:
    """Sums over all prompts divided by `scale`; NaN before every prompt is measured."""
    summed = values.values.sum(-1, dtype=torch.float64) / scale
    return EdgeValues(values.graph, summed.float())
