"""What every sender of the graph gives on clean and on corrupted prompts.

The graph has the embedding, heads and MLPs as senders (`ModelGraph` with `mlps="nodes"`). What a
head gives is its share of the attention output, in front of the norm that some families put behind
attention; what an MLP gives is what it adds to the residual stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuits.forward import Layer
from circuits.forward.passes import PairedActivations
from circuits.forward.positions import ActivePositions
from circuits.graph import ModelGraph

Stream = Float[Tensor, "token d_model"]


@dataclass(frozen=True, eq=False)
class LayerStreams:
    """Residual streams of the corrupted run in and behind a layer, where corruption reaches.

    Attributes:
        attention: What the layer's heads read.
        mlp: What its MLP reads.
        projected: All its heads together, through the output projection with its bias, in front of
            the norm behind attention.

    """

    attention: Stream
    mlp: Stream
    projected: Stream


Places = slice | Int[Tensor, " _"]


@dataclass(frozen=True, eq=False)
class SpanTokens:
    """Which of the packed tokens a span has.

    Attributes:
        places: Of all of them; a slice, which copies nothing, where they are all tokens.
        by_prompt: Of those of each prompt that has any: its number, and their places.

    """

    places: Places
    by_prompt: tuple[tuple[int, Places], ...]

    @classmethod
    def of(
        cls, places: Int[Tensor, " place"], prompts: Int[Tensor, " token"], is_all: bool = False
    ) -> SpanTokens:
        """From places among all tokens, rising, and the prompt of each token."""
        numbers, counts = prompts[places].unique_consecutive(return_counts=True)
        own = zip(numbers.tolist(), places.split(counts.tolist()), strict=True)
        by_prompt = tuple((number, _following(some)) for number, some in own)
        return cls(slice(None) if is_all else _following(places), by_prompt)

    @property
    def is_all(self) -> bool:
        """Whether these are all tokens, because there are no spans."""
        return self.places == slice(None)

    def alone(self, x: Float[Tensor, "*batch token d"]) -> Float[Tensor, "*batch token d"]:
        """What these tokens have, and 0 for all others."""
        if self.is_all:
            return x
        found = torch.zeros_like(x)
        found[..., self.places, :] = x[..., self.places, :]
        return found


def _following(places: Int[Tensor, " place"]) -> Places:
    """A slice where places follow each other."""
    if len(places) and int(places[-1] - places[0]) + 1 == len(places):
        return slice(int(places[0]), int(places[-1]) + 1)
    return places


@dataclass(frozen=True, eq=False)
class NodeOutputs:
    """The senders' outputs on some prompts, from the first corrupted token to the answer.

    Attributes:
        paired: What was run of these prompts.
        tokens: The tokens that corruption can change; no other output can differ.
        corrupted: What each sender gives on the corrupted prompts, in the graph's order.
        change: How much more it gives on the clean ones.
        layers: The corrupted run's streams, layer by layer.
        final: Its final residual stream.
        clean_final: That of the clean run.

    >>> outputs = NodeOutputs.of(activations.batches[0].paired)
    >>> outputs.change.shape  # of the embedding, and of four heads and an MLP in each of 3 layers
    torch.Size([16, 24, 32])
    """

    paired: PairedActivations
    tokens: ActivePositions
    corrupted: Float[Tensor, "sender token d_model"]
    change: Float[Tensor, "sender token d_model"]
    layers: tuple[LayerStreams, ...]
    final: Stream
    clean_final: Stream

    @classmethod
    def of(cls, paired: PairedActivations) -> NodeOutputs:
        """From the head outputs of both runs; MLPs are run again, where corruption reaches."""
        model, tokens = paired.model, ActivePositions.between_difference_and_end(paired.pairs)
        with torch.no_grad():
            resid = tokens.pack(model.embed(paired.pairs.corrupted))
            clean_resid = tokens.pack(paired.clean[0].resid_pre)
            clean_final = clean_resid
            given, clean_given, streams = [resid[None]], [clean_resid[None]], []
            for index, layer in enumerate(model.layers):
                record = paired.clean[index]
                own = _Layer(layer, resid, tokens.pack(paired.corrupted_z[index]))
                clean = _Layer(layer, tokens.pack(record.resid_pre), tokens.pack(record.z))
                given += own.given
                clean_given += clean.given
                streams.append(LayerStreams(own.resid_pre, own.read_by_mlp, own.projected))
                resid, clean_final = own.resid_post, clean.resid_post
            corrupted = torch.cat(given)
            change = torch.cat(clean_given).sub_(corrupted)
        return cls(paired, tokens, corrupted, change, tuple(streams), resid, clean_final)

    @cached_property
    def graph(self) -> ModelGraph:
        """The nodes and edges: MLPs and the embedding are nodes, with the spans of the prompts."""
        return self.paired.model.graph("nodes", self.paired.pairs.spans)

    @cached_property
    def by_span(self) -> tuple[SpanTokens, ...]:
        """The tokens of each span; all of them as one where prompts have no spans."""
        prompts, span = self.tokens.prompt.cpu(), self.paired.pairs.span
        if span is None:
            return (SpanTokens.of(torch.arange(len(prompts)), prompts, is_all=True),)
        of_tokens = span.cpu()[prompts, self.tokens.position.cpu()]
        every = (of_tokens.eq(place).nonzero()[:, 0] for place in range(self.graph.n_spans))
        return tuple(SpanTokens.of(places, prompts) for places in every)

    @cached_property
    def clean_logits(self) -> Float[Tensor, "prompt vocab"]:
        """The logits of the clean run where the answers are read."""
        with torch.no_grad():
            return self.paired.model.unembed(self.tokens.ends(self.clean_final))


class _Layer:
    """One layer's heads and MLP on packed tokens, from its heads' outputs."""

    def __init__(
        self, layer: Layer, resid_pre: Stream, z: Float[Tensor, "token head d_head"]
    ) -> None:
        self.resid_pre = resid_pre.to(layer.device)
        self.projected = layer.output(z)
        resid_mid = self.resid_pre + layer.norm_output(self.projected)
        self.read_by_mlp = self.resid_pre if layer.parallel else resid_mid
        added = layer.mlp_output(self.read_by_mlp)
        added = torch.zeros_like(resid_mid) if added is None else added
        heads = layer.output.per_head(z, list(range(layer.n_heads)))
        self.given, self.resid_post = (heads, added[None]), resid_mid + added
