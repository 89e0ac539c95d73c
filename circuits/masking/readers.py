"""What reads and sends: the heads of each layer, its MLP, and the logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.components import HEAD_INPUTS, MLP, Head, HeadInput, Node, Receiver
from circuits.graph import ModelGraph
from circuits.masking.mixing import Changes, Sums
from circuits.masking.node_outputs import NodeOutputs, SpanTokens, Stream


@dataclass(frozen=True, eq=False)
class Reader(ABC):
    """Nodes that read at one place: together they can read no sender that another one cannot.

    Attributes:
        outputs: What every sender gives on clean and on corrupted prompts.

    """

    outputs: NodeOutputs

    @property
    @abstractmethod
    def nodes(self) -> tuple[Node, ...]:
        """Those that send; none: the logits."""

    @property
    @abstractmethod
    def receivers(self) -> tuple[Receiver, ...]:
        """What they read by, at all positions."""

    @property
    @abstractmethod
    def base(self) -> Stream:
        """The stream that they read in the corrupted run."""

    @cached_property
    def by_span(self) -> tuple[tuple[SpanTokens, list[int]], ...]:
        """The tokens of each span that is read, and the places of the receivers there."""
        every = _rows_by_span(self.outputs.graph, self.receivers)
        return tuple((self.outputs.by_span[span], list(rows)) for span, rows in every)

    @cached_property
    def rows(self) -> list[int]:
        """The places of the receivers in the graph, span by span."""
        return [row for _, rows in self.by_span for row in rows]

    @cached_property
    def columns(self) -> list[int]:
        """The places of the nodes among the senders."""
        return [self.outputs.graph.column(node) for node in self.nodes]

    @cached_property
    def n_below(self) -> int:
        """How many senders they may read: the first ones."""
        graph = self.outputs.graph
        return graph.below(graph.at_spans(self.receivers[0])[0]).stop

    @abstractmethod
    def read(self, streams: Sums) -> Tensor:
        """What comes of the streams of all receivers: changes of the nodes' outputs, or metrics."""

    def _change(self, given: Float[Tensor, "*circuit node token d_model"]) -> Changes:
        corrupted = self.outputs.corrupted[self.columns]
        return given.to(corrupted.device) - corrupted


@dataclass(frozen=True, eq=False)
class Heads(Reader):
    """Some heads of a layer, each with a query, a key and a value of its own."""

    layer: int
    indices: tuple[int, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(Head(self.layer, index) for index in self.indices)

    @property
    def receivers(self) -> tuple[Receiver, ...]:
        heads = [Head(self.layer, index) for index in self.indices]
        return tuple(Receiver(head, name) for name in HEAD_INPUTS for head in heads)

    @property
    def base(self) -> Stream:
        return self.outputs.layers[self.layer].attention

    def read(self, streams: Sums) -> Changes:
        layer, tokens = self.outputs.paired.model.layers[self.layer], self.outputs.tokens
        clean = self.outputs.paired.clean[self.layer]
        normed = layer.norm_attention(streams.to(layer.device))
        by_input = rearrange(normed, "... (name head) token d -> name head ... token d", name=3)
        own = [layer.kv_head(index) for index in self.indices]
        queries, keys, values = (
            torch.cat(
                [self._projected(name, *each) for each in zip(self.indices, of, strict=True)], -2
            )
            for name, of in zip(HEAD_INPUTS, by_input, strict=True)
        )
        z = layer.attend(
            tokens.to_slots(queries),
            tokens.overwrite(clean.keys[:, :, own], keys),
            tokens.overwrite(clean.values[:, :, own], values),
            layer.allowed(tokens.slot_position, clean.keys.shape[1]),
        )
        given = layer.output.per_head(tokens.from_slots(z), list(self.indices))
        return self._change(rearrange(given, "head ... token d -> ... head token d"))

    def _projected(
        self, name: HeadInput, index: int, normed: Float[Tensor, "*circuit token d_model"]
    ) -> Float[Tensor, "*circuit token 1 d_head"]:
        layer, position = self.outputs.paired.model.layers[self.layer], self.outputs.tokens.position
        if name == "q":
            return layer.queries(normed, position, [index])
        shared = [layer.kv_head(index)]
        return layer.keys(normed, position, shared) if name == "k" else layer.values(normed, shared)


@dataclass(frozen=True, eq=False)
class Mlp(Reader):
    """The MLP of a layer."""

    layer: int

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (MLP(self.layer),)

    @property
    def receivers(self) -> tuple[Receiver, ...]:
        return (Receiver.mlp(self.layer),)

    @property
    def base(self) -> Stream:
        return self.outputs.layers[self.layer].mlp

    def read(self, streams: Sums) -> Changes:
        layer = self.outputs.paired.model.layers[self.layer]
        added = layer.mlp_output(streams.to(layer.device))
        assert added is not None
        return self._change(added)


@dataclass(frozen=True, eq=False)
class Logits(Reader):
    """The logits where the answers are read."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        return ()

    @property
    def receivers(self) -> tuple[Receiver, ...]:
        return (Receiver.logits(),)

    @property
    def base(self) -> Stream:
        return self.outputs.final

    def read(self, streams: Sums) -> Float[Tensor, "*circuit prompt"]:
        run = self.outputs.paired
        return run.metric(self.logits(streams), run.pairs)

    def logits(self, streams: Sums) -> Float[Tensor, "*circuit prompt vocab"]:
        """What is behind the metric."""
        final = self.outputs.tokens.ends(streams[..., 0, :, :])
        return self.outputs.paired.model.unembed(final)


@lru_cache(maxsize=4096)
def _rows_by_span(
    graph: ModelGraph, receivers: tuple[Receiver, ...]
) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Of each span that receivers are at, its place, and theirs there."""
    return tuple(
        (graph.span_of(at_span[0]), tuple(map(graph.row, at_span)))
        for at_span in zip(*map(graph.at_spans, receivers), strict=True)
    )


def readers_of(outputs: NodeOutputs, used: Bool[Tensor, " sender"]) -> Iterator[Reader]:
    """All that read, in the order in which they send; of senders, those that are used."""
    graph, is_used = outputs.graph, used.tolist()
    for index in range(graph.n_layers):
        heads = [h for h in range(graph.n_heads) if is_used[graph.column(Head(index, h))]]
        if heads:
            yield Heads(outputs, index, tuple(heads))
        has_mlp = outputs.paired.model.layers[index].mlp is not None
        if has_mlp and is_used[graph.column(MLP(index))]:
            yield Mlp(outputs, index)
    yield Logits(outputs)
