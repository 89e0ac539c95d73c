"""One forward pass in which every receiver reads weighted edges, and one back through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from einops import einsum
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.errors import MismatchError
from circuits.masking.mixing import Changes, Mixing, Part, Sums, Weights
from circuits.masking.node_outputs import NodeOutputs
from circuits.masking.readers import Reader, readers_of


@dataclass(frozen=True, eq=False)
class WeightedEdges:
    """A run of some prompts in which each edge has a weight.

    Attributes:
        outputs: What senders give on these prompts.
        weights: Of every edge; of several circuits at once where there are leading dimensions.
        embedded: How far the embedding is on its way from the corrupted prompt, 0, to the clean
            one, 1.

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
        with torch.no_grad():
            logits = self._readers[-1]
            return self._read(logits, self._sums(logits, self._changes))

    @cached_property
    def gradients(self) -> Float[Tensor, "prompt receiver sender"]:
        """Of each prompt's metric by the weight of each edge; 0 into what no edge leads on from.

        With each sender's change as it is in this run.
        """
        return self.gradients_along(self._changes)

    def gradients_along(self, changes: Changes) -> Float[Tensor, "prompt receiver sender"]:
        """The slope of each prompt's metric when a sender gives a receiver so much more."""
        return _Backward(self, changes).slopes_of_all()

    @cached_property
    def _readers(self) -> tuple[Reader, ...]:
        return tuple(readers_of(self.outputs, self._used))

    @property
    def _used(self) -> Bool[Tensor, " sender"]:
        return self.weights.ne(0).flatten(0, -2).any(0)

    @cached_property
    def _changes(self) -> Changes:
        """Of the senders that are used; 0 for all others."""
        shape = (*self.weights.shape[:-2], *self.outputs.change.shape)
        changes = self.outputs.change.new_zeros(shape)
        changes[..., 0, :, :] = self.embedded * self.outputs.change[0]
        with torch.no_grad():
            for reader in self._readers[:-1]:
                changes[..., reader.columns, :, :] = self._read(reader, self._sums(reader, changes))
        return changes

    @cached_property
    def _mixing(self) -> Mixing:
        return Mixing(self.outputs)

    def _parts(self, reader: Reader) -> tuple[Part, ...]:
        return self._mixing.parts(reader.n_below)

    def _sums(self, reader: Reader, changes: Changes) -> list[Sums]:
        weights = self.weights[..., reader.rows, :].to(changes)
        return [self._mixing.sums(part, weights, changes) for part in self._parts(reader)]

    def _read(self, reader: Reader, sums: Sequence[Sums]) -> Tensor:
        return reader.read(self._mixing.streams(reader.base, self._parts(reader), sums))


class _Backward:
    """From the metric down, one reader after the other; nothing is kept but what senders gave."""

    def __init__(self, run: WeightedEdges, along: Changes) -> None:
        self.run, self.along = run, along
        graph = run.outputs.graph
        shape = len(run.outputs.paired.pairs), len(graph.receivers), len(graph.senders)
        self.slopes = along.new_zeros(shape)
        self.towards = torch.zeros_like(run._changes)
        self.n_tokens = run.outputs.tokens.prompt.bincount(minlength=shape[0]).tolist()

    def slopes_of_all(self) -> Float[Tensor, "prompt receiver sender"]:
        """Of each prompt's metric by the weight of each edge into what is read."""
        for reader in reversed(self.run._readers):
            parts = self.run._parts(reader)
            for part, slope in zip(parts, self._by_sums(reader), strict=True):
                self._take_in(reader, part, slope)
        return self.slopes

    def _by_sums(self, reader: Reader) -> tuple[Tensor, ...]:
        """The slope of the metric, summed over prompts, by what each part gives each receiver."""
        sums = [added.requires_grad_() for added in self.run._sums(reader, self.run._changes)]
        with torch.enable_grad():
            given = self.run._read(reader, sums)
        towards = self.towards[reader.columns] if reader.nodes else torch.ones_like(given)
        return torch.autograd.grad(given, sums, towards.to(given.device))

    def _take_in(
        self, reader: Reader, part: Part, slope: Float[Tensor, "receiver token d_model"]
    ) -> None:
        weights = self.run.weights[reader.rows][:, part.place].to(slope)
        sent = einsum(weights, slope, "r sender, r token d -> sender token d")
        self.towards[part.place] += sent
        given, start = self.along[part.place], 0
        rows = torch.tensor(reader.rows)[:, None]
        columns = torch.tensor(part.columns)
        for prompt, n in enumerate(self.n_tokens):
            own = slice(start, start + n)
            self.slopes[prompt, rows, columns] = einsum(
                slope[:, own], given[:, own], "r token d, sender token d -> r sender"
            )
            start += n
