"""One forward pass in which every receiver reads weighted edges, and one back through it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from einops import einsum, rearrange, reduce
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.components import HEAD_INPUTS, Head, Node, Receiver
from circuits.errors import MismatchError
from circuits.masking.mixing import Changes, Part, Weights
from circuits.masking.node_outputs import NodeOutputs, SpanTokens
from circuits.masking.readers import Reader, readers_of
from circuits.masking.upward import Upward
from circuits.metrics import kl_divergence


@dataclass(frozen=True, eq=False)
class Gradients:
    """What one pass back through a run finds.

    Attributes:
        by_edge: How fast each prompt's metric grows when a sender gives a receiver more, in
            multiples of what it would give more.
        by_output: The gradient of the metric, summed over prompts, by what each sender gives.

    """

    by_edge: Float[Tensor, "prompt receiver sender"]
    by_output: Float[Tensor, "sender token d_model"]


@dataclass(frozen=True, eq=False)
class WeightedEdges:
    """A run of some prompts in which each edge has a weight.

    Attributes:
        outputs: What senders give on these prompts.
        weights: Of every edge, one at each span where prompts have spans; of several circuits at
            once where there are leading dimensions.
        embedded: How far the embedding is on its way from the corrupted prompt, 0, to the clean
            one, 1.
        like: A run of the same prompts whose weights are the same up to some receiver: what it
            found of the senders below is not run again.

    Raises:
        MismatchError: There are not as many weights as edges.

    >>> outputs = NodeOutputs.of(activations.batches[0].paired)
    >>> everything = WeightedEdges(outputs, torch.ones(40, 16))
    >>> everything.metric.allclose(activations.batches[0].paired.clean_metric, atol=1e-4)
    True
    """

    outputs: NodeOutputs
    weights: Weights
    embedded: float = 1.0
    like: WeightedEdges | None = None

    def __post_init__(self) -> None:
        graph = self.outputs.graph
        wanted = len(graph.receivers), len(graph.senders)
        if tuple(self.weights.shape[-2:]) != wanted:
            raise MismatchError(
                f"weights of {graph.shape} must be {wanted[0]} receivers x {wanted[1]} senders, "
                f"got {' x '.join(map(str, self.weights.shape))}"
            )

    @cached_property
    def metric(self) -> Float[Tensor, "*circuit prompt"]:
        """Of each prompt."""
        whole = self.__dict__.get("upward")
        return (self.upward_of_used if whole is None else whole).metric

    @property
    def divergence(self) -> Float[Tensor, "*circuit prompt"]:
        """Of each prompt's next-token distribution from that of the clean run (`kl_divergence`)."""
        return kl_divergence(self.upward_of_used.logits, self.outputs.clean_logits)

    @cached_property
    def gradients(self) -> Float[Tensor, "prompt receiver sender"]:
        """Of each prompt's metric by the weight of each edge; 0 into what no edge leads on from.

        With each sender's change as it is in this run.
        """
        return self.gradients_along(self.changes)

    def gradients_along(
        self, changes: Changes, constant: Iterable[Node] = ()
    ) -> Float[Tensor, "prompt receiver sender"]:
        """The slope of each prompt's metric when a sender gives a receiver so much more.

        What `constant` senders give does not depend on what they read.
        """
        return self.backward(changes, constant).by_edge

    def backward(self, changes: Changes, constant: Iterable[Node] = ()) -> Gradients:
        """The same, and the gradients by what senders give, of one pass back."""
        back = _Backward(self.upward, changes, constant)
        return Gradients(back.slopes_of_all(), back.towards)

    @property
    def changes(self) -> Changes:
        """How much more each sender gives than on the corrupted prompts; 0 where none is used."""
        return self.upward.changes

    @cached_property
    def upward(self) -> Upward:
        """The run, which holds what every sender gives."""
        return self._holding(range(len(self.outputs.graph.senders)), self._read_from(0))

    @cached_property
    def upward_of_used(self) -> Upward:
        """The run, which holds what the senders give that is read by what is run."""
        return self._holding(self._used.nonzero()[:, 0].tolist(), self._used)

    def _holding(self, senders: Iterable[int], used: Bool[Tensor, " sender"]) -> Upward:
        like = None if self.like is None else self.like.upward_of_used
        readers = tuple(readers_of(self.outputs, used))
        return Upward(self.outputs, self.weights, self.embedded, readers, tuple(senders), like)

    @cached_property
    def _used(self) -> Bool[Tensor, " sender"]:
        used = self._read_from(0)
        if self.like is None:
            return used
        above, known = self._read_from(self._first_unlike), self.like._used
        # What the other run has not must be run from below.
        return above if bool((known | ~above).all()) else used

    def _read_from(self, row: int) -> Bool[Tensor, " sender"]:
        return self.weights[..., row:, :].ne(0).flatten(0, -2).any(0)

    @property
    def _first_unlike(self) -> int:
        """The first row of the receivers that read together with one that reads otherwise."""
        assert self.like is not None
        graph = self.outputs.graph
        differs = self.weights.ne(self.like.weights).any(-1)
        differs = differs.reshape(-1, len(graph.receivers)).any(0).nonzero()
        first = graph.receivers[int(differs[0]) if len(differs) else -1].at(None)
        if first.head is not None:
            first = Receiver(Head(first.head.layer, 0), HEAD_INPUTS[0])
        return graph.row(graph.at_spans(first)[0])


class _Backward:
    """From the metric down, one reader after the other; nothing is kept but what senders gave."""

    def __init__(self, run: Upward, along: Changes, constant: Iterable[Node] = ()) -> None:
        self.run, self.along = run, along
        graph = run.outputs.graph
        self.constant = torch.tensor([graph.column(sender) for sender in constant])
        shape = len(run.outputs.paired.pairs), len(graph.receivers), len(graph.senders)
        self.slopes = along.new_zeros(shape)
        self.towards = torch.zeros_like(run.changes)

    def slopes_of_all(self) -> Float[Tensor, "prompt receiver sender"]:
        """Of each prompt's metric by the weight of each edge into what is read."""
        for reader in reversed(self.run.readers):
            parts = self.run.parts(reader)
            for part, slope in zip(parts, self._by_sums(reader), strict=True):
                self._take_in(reader, part, slope)
        return self.slopes

    def _by_sums(self, reader: Reader) -> tuple[Tensor, ...]:
        """The slope of the metric, summed over prompts, by what each part gives each receiver."""
        given = self.run.sums(reader, self.run.changes)
        sums = [self.run.for_each(reader, added).requires_grad_() for added in given]
        with torch.enable_grad():
            given = self.run.read(reader, sums)
        if reader.nodes:
            towards = self.towards[reader.columns]
            towards[torch.isin(torch.tensor(reader.columns), self.constant)] = 0
        else:
            towards = torch.ones_like(given)
        return torch.autograd.grad(given, sums, towards.to(given.device))

    def _take_in(
        self, reader: Reader, part: Part, slope: Float[Tensor, "receiver token d_model"]
    ) -> None:
        weights = self.run.weights_of(reader)[..., part.place].to(slope)
        given, columns = self.along[part.place], torch.tensor(part.columns)
        for place, (span, rows) in enumerate(reader.by_span):
            self._send(part, span, weights[place], slope[:, span.places])
            at = torch.tensor(rows)[:, None]
            for prompt, own in span.by_prompt:
                self.slopes[prompt, at, columns] = einsum(
                    slope[:, own], given[:, own], "r token d, sender token d -> r sender"
                )

    def _send(
        self,
        part: Part,
        span: SpanTokens,
        weights: Float[Tensor, "row sender"],
        slope: Float[Tensor, "receiver token d_model"],
    ) -> None:
        """Add to the gradients by what senders give at the tokens of a span."""
        if len(weights) == 1:
            slopes = reduce(slope, "r token d -> 1 token d", "sum")
            sent = rearrange(weights, "1 sender -> sender 1 1") * slopes
        else:
            sent = einsum(weights, slope, "r sender, r token d -> sender token d")
        if isinstance(part.place, slice):
            self.towards[part.place][:, span.places] += sent
        else:
            own = self.towards[part.place]
            own[:, span.places] += sent
            self.towards[part.place] = own
