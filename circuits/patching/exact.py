"""Exact path effects, one receiver at a time, without the work that the naive way repeats.

With heads frozen the sender's pass is norms and MLPs alone and does not depend on the receiver;
the receiver's pass starts at its own layer. Same numbers as `reference`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import Node, Receiver
from circuits.forward.activations import Batch
from circuits.forward.gradients import metric_above, read_tokens
from circuits.forward.passes import PairedActivations
from circuits.forward.positions import ActivePositions
from circuits.patching.by_receiver import ByReceiver
from circuits.patching.estimators import ChangesInto
from circuits.patching.receivers import heads_reading, patched_z
from circuits.patching.senders import carried, clean_output


class _Exact(ByReceiver):
    """The definition, without repeated work."""

    name = "exact"
    description = "the same numbers, without the work that the definition repeats"

    def open(self, batch: Batch, max_rows: int, kept_bytes: int) -> ChangesInto:
        """Share what receivers have in common."""
        states = SenderStates(batch.paired, max_rows, kept_bytes)
        return lambda receiver, senders: metric_changes(states, receiver, senders)


EXACT = _Exact()


class SenderStates:
    """What single senders make of a layer's input.

    A search goes from the top layer down. On its way up to the layer that is asked for, a sender
    passes all layers that may be asked for next: those states are kept, at most `kept_bytes` of
    them, so that none is computed twice.
    """

    def __init__(self, run: PairedActivations, max_rows: int, kept_bytes: int) -> None:
        self.run, self.max_rows = run, max_rows
        self._tokens = ActivePositions.between_difference_and_end(run.pairs)
        clean = run.clean[0].resid_pre
        self._empty = clean.new_empty(0, len(self._tokens), clean.shape[-1])
        row_bytes = len(self._tokens) * clean.shape[-1] * clean.element_size()
        self._kept_rows = kept_bytes // row_bytes
        self._kept: dict[int, dict[Node, Float[Tensor, "token d_model"]]] = {}
        self._projected: dict[int, Float[Tensor, "token d_model"]] = {}

    def projected(self, layer: int) -> Float[Tensor, "token d_model"]:
        """A layer's clean head outputs through the output projection, computed once."""
        if layer not in self._projected:
            self._projected[layer] = clean_output(self.run, layer, self._tokens)
        return self._projected[layer]

    def at(
        self, layer: int, senders: tuple[Node, ...]
    ) -> tuple[ActivePositions, Float[Tensor, "sender token d_model"]]:
        """The tokens that can differ, and resid_pre of `layer` there for each of the senders.

        A `layer` past the last gives the final residual stream at the answers alone.
        """
        if layer == self.run.model.n_layers:
            return self._at_logits(layer, senders)
        known = self._kept.setdefault(layer, {})
        missing = tuple(sender for sender in senders if sender not in known)
        for index, state in carried(
            self.run, layer, self._tokens, missing, self.max_rows, self.projected
        ):
            rows = zip(state.senders, state.resid_pre, strict=True)
            self._kept.setdefault(index, {}).update(rows)
            self._make_room(layer)
        rows = [known[sender] for sender in senders]
        return self._tokens, torch.stack(rows) if rows else self._empty

    def _at_logits(
        self, layer: int, senders: tuple[Node, ...]
    ) -> tuple[ActivePositions, Float[Tensor, "sender token d_model"]]:
        tokens = ActivePositions.at_end(self.run.pairs)
        known: dict[Node, Tensor] = {}
        for _, state in carried(self.run, layer, tokens, senders, self.max_rows):
            known = dict(zip(state.senders, state.resid_pre, strict=True))
        rows = [known[sender] for sender in senders]
        return tokens, torch.stack(rows) if rows else self._empty[:, : len(tokens)]

    def _make_room(self, layer: int) -> None:
        """Forget layers above first, which were asked for before, then the lowest ones.

        The lowest cost least to reach again.
        """
        while sum(map(len, self._kept.values())) > self._kept_rows and len(self._kept) > 1:
            highest, lowest = max(self._kept), min(self._kept)
            del self._kept[highest if highest > layer else lowest]


def metric_changes(
    states: SenderStates, receiver: Receiver, senders: tuple[Node, ...]
) -> Float[Tensor, "sender prompt"]:
    """Metric minus clean metric for each of the senders, all below the receiver, per prompt."""
    run = states.run
    with torch.no_grad():
        layer = run.model.n_layers if receiver.head is None else receiver.head.layer
        tokens, resid_pre = states.at(layer, senders)
        if receiver.head is None:
            return metric_above(run, layer, resid_pre, tokens) - run.clean_metric
        passes = _receiver_passes(states, receiver, resid_pre, tokens)
        return torch.cat(list(passes)) - run.clean_metric


def _receiver_passes(
    states: SenderStates,
    receiver: Receiver,
    resid_pre: Float[Tensor, "sender token d_model"],
    tokens: ActivePositions,
) -> Iterator[Float[Tensor, "sender prompt"]]:
    run, (head, head_input) = states.run, receiver.on_head()
    layer, clean = run.model.layers[head.layer], run.clean[head.layer]
    reading = read_tokens(run, head.layer, tokens)
    units = [head.index if head_input == "q" else layer.kv_head(head.index)]
    heads = heads_reading(layer, head_input, units)
    clean_z, clean_resid = reading.pack(clean.z), reading.pack(clean.resid_pre)
    is_whole = reading is tokens
    projected = states.projected(head.layer) if is_whole else layer.output(clean_z)
    for part in resid_pre.split(max(1, states.max_rows // len(tokens))):
        sent = part
        if head_input == "q" and reading is not tokens:
            sent = tokens.ends(part)
        normed = layer.norm_attention(sent)
        z = patched_z(run, head.layer, head_input, units, normed, tokens, reading)
        change = layer.output.of_heads(z - clean_z[:, heads], heads)
        resid_post = layer.finish(clean_resid, layer.norm_output(projected + change))
        yield metric_above(run, head.layer + 1, resid_post, tokens)
