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
from circuits.masking.node_outputs import NodeOutputs, SpanTokens, Stream

Weights = Float[Tensor, "*circuit receiver sender"]
"""Of every edge, 0 to 1, in the order of the graph; 0 where there is none."""
SpanWeights = Float[Tensor, "*circuit span receiver sender"]
"""The same of some receivers, at each span; of one span where there are none."""
Changes = Float[Tensor, "*circuit held token d_model"]
"""How much more senders give than on the corrupted prompts: all, or those that are held."""
Sums = Float[Tensor, "*circuit receiver token d_model"]


@dataclass(frozen=True)
class Part:
    """Senders whose changes are added up together.

    Attributes:
        columns: Their places among all senders, rising.
        held: Their places among the senders whose changes are held.
        layer: That of the heads which they are, where a norm stands behind these.

    """

    columns: tuple[int, ...]
    held: tuple[int, ...]
    layer: int | None = None

    @cached_property
    def place(self) -> slice | list[int]:
        """The columns as an index: a slice, which copies nothing, where they follow each other."""
        return _index(self.columns)

    @cached_property
    def held_place(self) -> slice | list[int]:
        """Where their changes are held, as an index."""
        return _index(self.held)


def _index(places: tuple[int, ...]) -> slice | list[int]:
    follows = bool(places) and places[-1] - places[0] + 1 == len(places)
    return slice(places[0], places[-1] + 1) if follows else list(places)


@dataclass(frozen=True, eq=False)
class Mixing:
    """How what senders give adds up to streams.

    Attributes:
        outputs: What senders give.
        held: The places of the senders whose changes are held, rising.

    """

    outputs: NodeOutputs
    held: tuple[int, ...]

    def parts(self, n_senders: int) -> tuple[Part, ...]:
        """Those of the first so many senders that are held, by how they are added up."""
        if n_senders not in self._known:
            self._known[n_senders] = tuple(self._parts(n_senders))
        return self._known[n_senders]

    def sums(
        self, part: Part, weights: SpanWeights, changes: Changes, spans: Sequence[SpanTokens]
    ) -> Sums:
        """What the senders of a part give receivers, a row of weights for each of these.

        Args:
            part: Of the senders that may be read.
            weights: At each span.
            changes: Those that are held.
            spans: The tokens of each; others are given nothing.

        """
        own, given = weights[..., part.place], changes[..., part.held_place, :, :]
        added = "... r sender, ... sender token d -> ... r token d"
        if spans[0].is_all:
            return einsum(own[..., 0, :, :], given, added)
        sums = given.new_zeros((*own.shape[:-3], own.shape[-2], *given.shape[-2:]))
        for place, span in enumerate(spans):
            some = own[..., place, :, :], given[..., span.places, :]
            sums[..., span.places, :] = einsum(*some, added)
        return sums

    def streams(
        self, base: Stream, parts: Sequence[Part], sums: Sequence[Sums]
    ) -> Float[Tensor, "... token d_model"]:
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
        senders = self.outputs.graph.senders
        held = [(place, column) for place, column in enumerate(self.held) if column < n_senders]
        behind = {
            column: sender.layer
            if isinstance(sender := senders[column], Head)
            and layers[sender.layer].norm_attention_output is not None
            else None
            for _, column in held
        }
        for layer in dict.fromkeys(behind.values()):
            own = [(place, column) for place, column in held if behind[column] == layer]
            yield Part(tuple(c for _, c in own), tuple(p for p, _ in own), layer)
