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
from circuits.patching.positions import ActivePositions
from circuits.patching.receivers import heads_reading, patched_z
from circuits.patching.runs import PairedRun
from circuits.patching.senders import SenderState, advance, in_chunks
from circuits.patching.upward import metric_above, read_tokens


def metric_changes(
    run: PairedRun, receiver: Receiver, senders: tuple[Head, ...], max_rows: int
) -> Float[Tensor, "sender prompt"]:
    """Metric minus clean metric for each sender (sorted, below the receiver), per prompt."""
    with torch.no_grad():
        if receiver.head is None:
            tokens = ActivePositions.at_end(run.pairs)
            state = _state_at(run, run.model.n_layers, tokens, senders, max_rows)
            changes = [metric_above(run, run.model.n_layers, state.resid_pre, tokens)]
        else:
            tokens = ActivePositions.between_difference_and_end(run.pairs)
            state = _state_at(run, receiver.head.layer, tokens, senders, max_rows)
            changes = list(_receiver_passes(run, receiver.head, receiver.input, state, tokens, max_rows))
    return torch.cat(changes) - run.clean_metric


def _state_at(
    run: PairedRun, layer: int, tokens: ActivePositions, senders: tuple[Head, ...], max_rows: int
) -> SenderState:
    state = SenderState.empty(run, tokens)
    for index in range(min((sender.layer for sender in senders), default=layer), layer):
        state = advance(run, index, state, tokens, senders, max_rows)
    return state


def _receiver_passes(
    run: PairedRun, head: Head, head_input, state: SenderState, tokens: ActivePositions, max_rows: int
) -> Iterator[Float[Tensor, "sender prompt"]]:
    layer, clean = run.model.layers[head.layer], run.clean[head.layer]
    reading = read_tokens(run, head.layer, tokens)
    units = [head.index if head_input == "q" else layer.kv_head(head.index)]
    heads = heads_reading(layer, head_input, units)
    clean_z, clean_resid = reading.pack(clean.z), reading.pack(clean.resid_pre)
    projected = layer.output(clean_z)
    step = max(1, max_rows // len(tokens))
    for resid_pre in state.resid_pre.split(step):
        if head_input == "q" and reading is not tokens:
            resid_pre = resid_pre[:, tokens.end_token(run.pairs)]
        normed = layer.norm_attention(resid_pre)
        z = patched_z(run, head.layer, head_input, units, normed, tokens, reading)
        change = layer.output.of_heads(z - clean_z[:, heads], heads)
        resid_post = layer.finish(clean_resid, layer.norm_output(projected + change))
        yield metric_above(run, head.layer + 1, resid_post, tokens)
