"""Carrying every sender's change upward at once while all attention stays frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import Head, Node
from circuits.forward.passes import PairedActivations
from circuits.forward.positions import ActivePositions


@dataclass(frozen=True, eq=False)
class SenderState:
    """resid_pre of one layer, for each sender when only that sender is corrupted."""

    senders: tuple[Node, ...]
    resid_pre: Float[Tensor, "sender token d_model"]

    @classmethod
    def empty(cls, run: PairedActivations, tokens: ActivePositions) -> SenderState:
        """Below the first layer nothing has been sent yet."""
        clean = run.clean[0].resid_pre
        return cls((), clean.new_empty(0, len(tokens), clean.shape[-1]))

    def at_end(self, tokens: ActivePositions) -> SenderState:
        """The same state at the answer positions alone."""
        return SenderState(self.senders, tokens.ends(self.resid_pre))


def advance(
    run: PairedActivations,
    index: int,
    state: SenderState,
    tokens: ActivePositions,
    senders: tuple[Node, ...],
    max_rows: int,
    projected: Float[Tensor, "token d_model"] | None = None,
) -> SenderState:
    """Take the state of layer `index` to the next, where that layer's own `senders` join.

    Heads are frozen at their clean outputs except the sender; MLPs and norms are recomputed.
    `max_rows` bounds how many (sender, token) rows pass through the MLP at once. `projected` is
    `clean_output` of the layer, where it is known.
    """
    layer, clean = run.model.layers[index], run.clean[index]
    own = [s.index for s in senders if isinstance(s, Head) and s.layer == index]
    if projected is None:
        projected = clean_output(run, index, tokens)
    frozen = layer.norm_output(projected)

    def finish(resid: Tensor, attention_output: Tensor) -> Tensor:
        return layer.finish(resid, attention_output)

    above = [in_chunks(lambda resid: finish(resid, frozen), max_rows, state.resid_pre)]
    if own:
        z_change = tokens.pack((run.corrupted_z[index] - clean.z)[:, :, own])
        change = layer.output.per_head(z_change, own)
        own_output = layer.norm_output(projected + change)
        own_resid = tokens.pack(clean.resid_pre).expand_as(own_output)
        above.append(in_chunks(finish, max_rows, own_resid, own_output))
    joined = state.senders + tuple(Head(index, head) for head in own)
    return SenderState(joined, torch.cat(above))


def clean_output(
    run: PairedActivations, index: int, tokens: ActivePositions
) -> Float[Tensor, "token d_model"]:
    """A layer's clean head outputs through the output projection."""
    return run.model.layers[index].output(tokens.pack(run.clean[index].z))


def carried(
    run: PairedActivations,
    layer: int,
    tokens: ActivePositions,
    senders: tuple[Node, ...],
    max_rows: int,
    projected: Callable[[int], Float[Tensor, "token d_model"]] | None = None,
) -> Iterator[tuple[int, SenderState]]:
    """Every layer above the lowest sender up to `layer`, with the state that enters it."""
    state = SenderState.empty(run, tokens)
    for index in range(min((sender.layer for sender in senders), default=layer), layer):
        known = None if projected is None else projected(index)
        state = advance(run, index, state, tokens, senders, max_rows, known)
        yield index + 1, state


def in_chunks(
    function: Callable[..., Tensor], max_rows: int, *inputs: Float[Tensor, "sender token d_model"]
) -> Tensor:
    """Apply a function to a few senders at a time and join the results."""
    step = max(1, max_rows // inputs[0].shape[1])
    if inputs[0].shape[0] <= step:
        return function(*inputs)
    pieces = zip(*(tensor.split(step) for tensor in inputs), strict=True)
    return torch.cat([function(*piece) for piece in pieces])
