"""What receivers read when each of their edges has a weight.

A sender gives a receiver w times its present and 1 - w times its corrupted output. So a receiver
reads the corrupted run's stream, and w times how much more than there each sender gives now. Where
a norm stands behind attention, the heads of a layer are added up in front of it, for each receiver
anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from einops import einsum
from jaxtyping import Float
from torch import Tensor

from circuits.components import Head
from circuits.masking.node_outputs import NodeOutputs, Stream

Weights = Float[Tensor, "*circuit receiver sender"]
"""Of every edge, 0 to 1, in the order of the graph; 0 where there is none."""
Changes = Float[Tensor, "*circuit sender token d_model"]
"""How much more each sender gives than on the corrupted prompts."""
Sums = Float[Tensor, "*circuit receiver token d_model"]


@dataclass(frozen=True)
class Part:
    """Senders whose changes are added up together.

    Attributes:
        columns: Their places among all senders, rising.
        layer: That of the heads which they are, where a norm stands behind these.

    """

    columns: tuple[int, ...]
    layer: int | None = None

    @cached_property
    def place(self) -> slice | list[int]:
        """The columns as an index: a slice, which copies nothing, where they follow each other."""
        first, last = self.columns[0], self.columns[-1]
        follows = last - first + 1 == len(self.columns)
        return slice(first, last + 1) if follows else list(self.columns)


@dataclass(frozen=True, eq=False)
class Mixing:
    """How what senders give adds up to streams.

    Attributes:
        outputs: What senders give.

    """

    outputs: NodeOutputs

    def parts(self, n_senders: int) -> tuple[Part, ...]:
        """The first so many senders, by how they are added up."""
        if n_senders not in self._known:
            self._known[n_senders] = tuple(self._parts(n_senders))
        return self._known[n_senders]

    def sums(self, part: Part, weights: Weights, changes: Changes) -> Sums:
        """What the senders of a part give receivers, a row of weights for each of these."""
        own, given = weights[..., part.place], changes[..., part.place, :, :]
        return einsum(own, given, "... r sender, ... sender token d -> ... r token d")

    def streams(self, base: Stream, parts: Sequence[Part], sums: Sequence[Sums]) -> Sums:
        """What receivers read: the corrupted stream, and what parts add to it."""
        streams = base
        for part, added in zip(parts, sums, strict=True):
            if part.layer is None:
                streams = streams + added
                continue
            layer = self.outputs.paired.model.layers[part.layer]
            corrupted = self.outputs.layers[part.layer].projected
            given = layer.norm_output(corrupted + added.to(corrupted.device))
            streams = streams + (given - layer.norm_output(corrupted)).to(base.device)
        return streams

    @cached_property
    def _known(self) -> dict[int, tuple[Part, ...]]:
        return {}

    def _parts(self, n_senders: int) -> Iterator[Part]:
        layers = self.outputs.paired.model.layers
        senders = self.outputs.graph.senders[:n_senders]
        behind = [
            sender.layer
            if isinstance(sender, Head) and layers[sender.layer].norm_attention_output is not None
            else None
            for sender in senders
        ]
        for layer in dict.fromkeys(behind):
            yield Part(tuple(c for c, own in enumerate(behind) if own == layer), layer)
