"""The residual streams of many circuits at once; equal ones are computed once.

Circuits that keep the same heads in all layers up to some depth are one circuit up to there, and a
head that no circuit keeps is not computed at all. So a layer computes rows, not (circuit, prompt,
position): one row for all streams that must be equal. Which rows there are is worked out on the
CPU, whatever device computes them, so that no layer waits for the one below it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from circuits.forward import Layer


@dataclass(frozen=True, eq=False)
class Replacements:
    """What one layer's heads give where they are replaced: z, and all z through the projection.

    >>> given = evaluator.means.on(pairs).of_layer(0)
    >>> given.z.shape, given.output.shape
    (torch.Size([4, 8, 4, 8]), torch.Size([4, 8, 32]))
    """

    z: Float[Tensor, "prompt pos head d_head"]
    output: Float[Tensor, "prompt pos d_model"]


@dataclass(frozen=True, eq=False)
class Streams:
    """Residual streams in front of one layer.

    Attributes:
        row: Where in `resid` each stream is; -1 where nothing above reads it.
        resid: The distinct residual streams, on the device of the layer below; all else is on the
            CPU.
        prompt: The prompt of each row.
        position: The position of each row.

    """

    row: Int[Tensor, "circuit prompt pos"]
    resid: Float[Tensor, "row d_model"]
    prompt: Int[Tensor, " row"]
    position: Int[Tensor, " row"]

    @classmethod
    def start(
        cls, embedded: Float[Tensor, "prompt pos d_model"], end: Int[Tensor, " prompt"]
    ) -> Streams:
        """Before the first layer all circuits are one. Nothing behind the answer is needed."""
        read = torch.arange(embedded.shape[1]) <= end[:, None]
        prompt, position = read.nonzero(as_tuple=True)
        row = torch.full_like(read, -1, dtype=torch.long)
        row[read] = torch.arange(len(prompt))
        return cls(row[None], taken(embedded, prompt, position), prompt, position)

    def through(
        self,
        layer: Layer,
        kept: Bool[Tensor, "circuit head"],
        acts: Bool[Tensor, "prompt pos"],
        wanted: Bool[Tensor, "circuit prompt pos"],
        means: Replacements,
        max_rows: int,
    ) -> Streams:
        """The streams behind a layer in which each circuit keeps the heads of `kept`.

        Args:
            layer: The layer.
            kept: The heads that each circuit keeps; the others give their replacement.
            acts: Where it matters which heads are kept. Elsewhere every head's output equals its
                replacement. False comes before True in every prompt.
            wanted: The streams to compute: no others are read above.
            means: The replacements.
            max_rows: How many rows pass the MLP at once.

        """
        here = replace(self, resid=self.resid.to(layer.device))
        split = Split.of(self.row.expand(len(kept), -1, -1), kept, acts, wanted)
        added = layer.norm_output(here._attention(layer, kept, split, means))
        before = taken(here.resid, split.parent)
        pieces = zip(before.split(max_rows), added.split(max_rows), strict=True)
        resid = torch.cat([layer.finish(*piece) for piece in pieces])
        return Streams(split.row, resid, self.prompt[split.parent], self.position[split.parent])

    def _attention(
        self, layer: Layer, kept: Bool[Tensor, "circuit head"], split: Split, means: Replacements
    ) -> Float[Tensor, "new_row d_model"]:
        """The projected outputs of all heads for each new row."""
        output = taken(means.output, self.prompt[split.parent], self.position[split.parent])
        normed = layer.norm_attention(self.resid)
        some = kept.any(0).tolist()
        for kv_head in range(layer.n_kv_heads):
            heads = [head for head in layer.heads_of([kv_head]) if some[head]]
            if not heads:
                continue
            group = _Group.of(self, layer, kv_head, kept[:, heads].any(1), normed)
            for head in heads:
                (keeping,) = split.kept[:, head].nonzero(as_tuple=True)
                asking, asked = split.parent[keeping].unique(return_inverse=True)
                mean = taken(means.z[:, :, head], self.prompt[asking], self.position[asking])
                change = group.z(head, asking) - mean
                added = layer.output.of_heads(change[:, None], [head])
                output[sent(keeping, output)] += taken(added, asked)
        return output


def taken(given: Tensor, *indices: Int[Tensor, "*index"]) -> Tensor:
    """Rows of a tensor by indices on the CPU, without waiting for the tensor."""
    return given[tuple(sent(index, given) for index in indices)]


def sent(index: Int[Tensor, "*index"], given: Tensor) -> Int[Tensor, "*index"]:
    """An index from the CPU where a tensor is."""
    return index.to(given.device, non_blocking=True)


@dataclass(frozen=True, eq=False)
class Split:
    """How the rows in front of a layer part behind it: by what their circuits keep in it."""

    row: Int[Tensor, "circuit prompt pos"]
    parent: Int[Tensor, " new_row"]
    kept: Bool[Tensor, "new_row head"]

    @classmethod
    def of(
        cls,
        row: Int[Tensor, "circuit prompt pos"],
        kept: Bool[Tensor, "circuit head"],
        acts: Bool[Tensor, "prompt pos"],
        wanted: Bool[Tensor, "circuit prompt pos"],
    ) -> Split:
        """One new row for each row and set of heads that acts on it."""
        # Sorted, so that the empty set, which also stands for "acts not", is number 0.
        sets, number = torch.cat([torch.zeros_like(kept[:1]), kept]).unique(
            dim=0, return_inverse=True
        )
        key = row * len(sets) + number[1:, None, None] * acts
        keys, found = key[wanted].unique(return_inverse=True)
        new_row = torch.full_like(row, -1)
        new_row[wanted] = found
        return cls(new_row, keys // len(sets), sets[keys % len(sets)])


@dataclass(frozen=True, eq=False)
class _Group:
    """A key/value head on the distinct streams of the circuits that keep a head reading it."""

    layer: Layer
    normed: Float[Tensor, "row d_model"]
    keys: Float[Tensor, "stream pos 1 d_query"]
    values: Float[Tensor, "stream pos 1 d_head"]
    allowed: Bool[Tensor, "stream pos pos"]
    stream: Int[Tensor, " row"]
    position: Int[Tensor, " row"]

    @classmethod
    def of(
        cls,
        streams: Streams,
        layer: Layer,
        kv_head: int,
        reading: Bool[Tensor, " circuit"],
        normed: Float[Tensor, "row d_model"],
    ) -> _Group:
        row = streams.row.expand(len(reading), -1, -1)[reading]
        distinct = row.flatten(0, 1).unique(dim=0)
        stream, position = (distinct >= 0).nonzero(as_tuple=True)
        rows, local = distinct[stream, position].unique(return_inverse=True)
        own = taken(normed, rows)
        computed = (
            layer.keys(own, sent(streams.position[rows], own), [kv_head]),
            layer.values(own, [kv_head]),
        )
        padded = [part.new_zeros(*distinct.shape, *part.shape[1:]) for part in computed]
        for whole, part in zip(padded, computed, strict=True):
            whole[sent(stream, whole), sent(position, whole)] = taken(part, local)
        # A row on which heads act is in one stream only: elsewhere the last one written counts.
        stream_of = torch.zeros_like(streams.prompt)
        stream_of[distinct[stream, position]] = stream
        length = distinct.shape[1]
        positions = torch.arange(length, device=normed.device).expand(len(distinct), -1)
        allowed = layer.allowed(positions, length)
        return cls(layer, normed, padded[0], padded[1], allowed, stream_of, streams.position)

    def z(self, head: int, asking: Int[Tensor, " asking"]) -> Float[Tensor, "asking d_head"]:
        """A query head's output at some rows."""
        stream = sent(self.stream[asking], self.keys)
        position = sent(self.position[asking], self.keys)
        normed, queries = taken(self.normed, asking), torch.zeros_like(self.keys)
        queries[stream, position] = self.layer.queries(normed, position, [head])
        z = self.layer.attend(queries, self.keys, self.values, self.allowed)
        return z[stream, position, 0]
