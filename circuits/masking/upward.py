"""A run with weighted edges from the embedding up, which holds what some senders give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from circuits.masking.mixing import Changes, Mixing, Part, SpanWeights, Sums, Weights
from circuits.masking.node_outputs import NodeOutputs, SpanTokens
from circuits.masking.readers import Logits, Reader


@dataclass(frozen=True, eq=False)
class Upward:
    """One reader after another, each from what those below it give.

    Attributes:
        outputs: What senders give on these prompts.
        weights: Of every edge; of several circuits at once where there are leading dimensions.
        embedded: How far the embedding is on its way from the corrupted prompt to the clean one.
        readers: All that read, in order; the last one are the logits.
        senders: Places of those whose changes are held, rising: at least of all that are read.
        like: A run whose weights are the same up to some reader.

    """

    outputs: NodeOutputs
    weights: Weights
    embedded: float
    readers: tuple[Reader, ...]
    senders: tuple[int, ...]
    like: Upward | None = None

    @cached_property
    def metric(self) -> Float[Tensor, "*circuit prompt"]:
        """Of each prompt."""
        with torch.no_grad():
            logits = self.readers[-1]
            return self.read(logits, self.sums(logits, self.changes))

    @property
    def logits(self) -> Float[Tensor, "*circuit prompt vocab"]:
        """Where the answers are read."""
        with torch.no_grad():
            last = self.readers[-1]
            assert isinstance(last, Logits)
            return last.logits(self.streams(last, self.sums(last, self.changes)))

    @cached_property
    def changes(self) -> Changes:
        """How much more each sender gives than on the corrupted prompts; 0 where it is not read."""
        clean = self.outputs.change
        shape = *self.weights.shape[:-2], len(self.senders), *clean.shape[1:]
        changes = clean.new_zeros(shape)
        if self.embedded == 0:
            return changes
        if 0 in self._places:
            changes[..., 0, :, :] = self.embedded * clean[0]
        # Of a run that is like another, readers are left out that may not read the clean run.
        is_clean, is_like = self.embedded == 1 and self.like is None, self.like is not None
        with torch.no_grad():
            for reader in self.readers[:-1]:
                is_clean = is_clean and self._reads_all(reader)
                is_like = is_like and self._reads_the_same(reader)
                changes[..., self.held(reader), :, :] = self._given(
                    reader, changes, is_clean, is_like
                )
        return changes

    def _given(self, reader: Reader, changes: Changes, is_clean: bool, is_like: bool) -> Tensor:
        # What reads the clean run, or one that is known, gives what it gave there.
        if is_clean:
            return self.outputs.change[reader.columns]
        if is_like and self.like is not None:
            return self.like.changes[self.like.held(reader)]
        return self.read(reader, self.sums(reader, changes))

    def held(self, reader: Reader) -> list[int]:
        """Where the changes of a reader's nodes are held."""
        return [self._places[column] for column in reader.columns]

    @cached_property
    def _places(self) -> dict[int, int]:
        return {column: place for place, column in enumerate(self.senders)}

    def _read_by(self, reader: Reader) -> Weights:
        return self.weights[..., reader.rows, : reader.n_below]

    def _reads_all(self, reader: Reader) -> bool:
        return bool((self._read_by(reader) == 1).all())

    def _reads_the_same(self, reader: Reader) -> bool:
        like = self.like
        if like is None or not set(reader.columns) <= like._places.keys():
            return False
        return bool((self._read_by(reader) == like._read_by(reader)).all())

    def weights_of(self, reader: Reader) -> SpanWeights:
        """By span and receiver; a single row where all receivers read one and the same stream."""
        n_spans = len(reader.by_span)
        own = rearrange(
            self.weights[..., reader.rows, :],
            "... (span r) sender -> ... span r sender",
            span=n_spans,
        )
        read = own[..., : reader.n_below]
        return own[..., :1, :] if bool((read == read[..., :1, :]).all()) else own

    @cached_property
    def _mixing(self) -> Mixing:
        return Mixing(self.outputs, self.senders)

    def parts(self, reader: Reader) -> tuple[Part, ...]:
        """The senders that a reader may read."""
        return self._mixing.parts(reader.n_below)

    def sums(self, reader: Reader, changes: Changes) -> list[Sums]:
        """What each part gives the receivers of a reader."""
        weights = self.weights_of(reader).to(changes)
        spans = [tokens for tokens, _ in reader.by_span]
        return [self._mixing.sums(part, weights, changes, spans) for part in self.parts(reader)]

    def read(self, reader: Reader, sums: Sequence[Sums]) -> Tensor:
        """What a reader makes of what the parts give it."""
        return reader.read(self.streams(reader, sums))

    def streams(
        self, reader: Reader, sums: Sequence[Sums]
    ) -> Float[Tensor, "*circuit each token d_model"]:
        """What each receiver of a reader reads."""
        streams = self._mixing.streams(reader.base, self.parts(reader), sums)
        return self.for_each(reader, streams)

    def for_each(self, reader: Reader, sums: Float[Tensor, "... token d_model"]) -> Sums:
        """One row for each receiver of each circuit, also where all of them have the same."""
        return sums.expand(*self.weights.shape[:-2], len(reader.receivers), *sums.shape[-2:])

    def without_each(
        self, reader: Reader, together: int, span: SpanTokens
    ) -> Iterator[tuple[list[int], Float[Tensor, "sender 1 token d_model"]]]:
        """What a reader reads without each of its senders alone, some at once: columns, streams.

        Without what a sender gives at the tokens of a span. All receivers of the reader must read
        the same stream, at all spans.
        """
        parts = self.parts(reader)
        weights, sums = self.weights_of(reader).to(self.changes), self.sums(reader, self.changes)
        for place, part in enumerate(parts):
            for start in range(0, len(part.columns), together):
                columns = list(part.columns[start : start + together])
                held = list(part.held[start : start + together])
                given = (
                    rearrange(weights[0, 0, columns], "sender -> sender 1 1") * self.changes[held]
                )
                lost = rearrange(span.alone(given), "sender ... -> sender 1 ...")
                without = [one.expand(len(columns), *one.shape) for one in sums]
                without[place] = sums[place] - lost
                yield columns, self._mixing.streams(reader.base, parts, without)
