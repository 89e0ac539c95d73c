"""Exact path effects, one receiver at a time, without the work that the naive way repeats.

With heads frozen the sender's pass is norms and MLPs alone and does not depend on the receiver;
the receiver's pass starts at its own layer. Same numbers as `reference`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import Head, Receiver
from circuits.model.runs import PairedRun
from circuits.patching.positions import ActivePositions
from circuits.patching.receivers import heads_reading, patched_z
from circuits.patching.senders import SenderState, advance
from circuits.patching.upward import metric_above, read_tokens


class SenderStates:
    """What each sender makes of one layer's input; the last layer asked for is kept."""

    def __init__(self, run: PairedRun, senders: tuple[Head, ...], max_rows: int) -> None:
        self.run, self.max_rows = run, max_rows
        self._senders = senders
        self._kept: tuple[int, ActivePositions, SenderState] | None = None

    def at(self, layer: int) -> tuple[ActivePositions, SenderState]:
        """The tokens that can differ, and resid_pre of `layer` there, for senders below it.

        A `layer` past the last gives the final residual stream at the answers alone.
        """
        if self._kept is None or self._kept[0] != layer:
            is_logits = layer == self.run.model.n_layers
            choose = (
                ActivePositions.at_end if is_logits else ActivePositions.between_difference_and_end
            )
            tokens = choose(self.run.pairs)
            self._kept = layer, tokens, self._computed(layer, tokens)
        return self._kept[1:]

    def _computed(self, layer: int, tokens: ActivePositions) -> SenderState:
        state = SenderState.empty(self.run, tokens)
        lowest = min((sender.layer for sender in self._senders), default=layer)
        for index in range(lowest, layer):
            state = advance(self.run, index, state, tokens, self._senders, self.max_rows)
        return state


def metric_changes(states: SenderStates, receiver: Receiver) -> Float[Tensor, "sender prompt"]:
    """Metric minus clean metric for each sender below the receiver, per prompt."""
    run = states.run
    with torch.no_grad():
        if receiver.head is None:
            tokens, state = states.at(run.model.n_layers)
            return metric_above(run, run.model.n_layers, state.resid_pre, tokens) - run.clean_metric
        tokens, state = states.at(receiver.head.layer)
        passes = _receiver_passes(run, receiver, state, tokens, states.max_rows)
        return torch.cat(list(passes)) - run.clean_metric


def _receiver_passes(
    run: PairedRun, receiver: Receiver, state: SenderState, tokens: ActivePositions, max_rows: int
) -> Iterator[Float[Tensor, "sender prompt"]]:
    head, head_input = receiver.on_head()
    layer, clean = run.model.layers[head.layer], run.clean[head.layer]
    reading = read_tokens(run, head.layer, tokens)
    units = [head.index if head_input == "q" else layer.kv_head(head.index)]
    heads = heads_reading(layer, head_input, units)
    clean_z, clean_resid = reading.pack(clean.z), reading.pack(clean.resid_pre)
    projected = layer.output(clean_z)
    for resid_pre in state.resid_pre.split(max(1, max_rows // len(tokens))):
        sent = resid_pre
        if head_input == "q" and reading is not tokens:
            sent = resid_pre[:, tokens.end_token(run.pairs)]
        normed = layer.norm_attention(sent)
        z = patched_z(run, head.layer, head_input, units, normed, tokens, reading)
        change = layer.output.of_heads(z - clean_z[:, heads], heads)
        resid_post = layer.finish(clean_resid, layer.norm_output(projected + change))
        yield metric_above(run, head.layer + 1, resid_post, tokens)
