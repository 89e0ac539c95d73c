"""Every receiver input and every sender in one upward sweep.

Exact from the sender through MLPs, norms and the receiver's own attention; downstream of the
receiver first order: the change of the receiver head's output is contracted with the gradient of
the metric there, taken on the clean run (one backward pass for all layers). The logits receiver is
exact. How far off an estimate may be is measured beside it (`remainder`). Slow twin: differentiate
the second pass of `reference` (tests/circuits/patching).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from einops import einsum, rearrange, reduce
from jaxtyping import Float
from torch import Tensor

from circuits.components import HEAD_INPUTS, Head, HeadInput, Receiver
from circuits.forward import Layer
from circuits.forward.activations import Batch
from circuits.forward.gradients import metric_above, read_tokens
from circuits.forward.passes import LayerActivations, PairedActivations
from circuits.forward.positions import ActivePositions
from circuits.patching.receivers import group_sum, heads_reading, patched_z
from circuits.patching.remainder import remainder_sizes, token_weights, value_weights
from circuits.patching.senders import SenderState, advance
from circuits.patching.sums import EdgeSums
from circuits.runtime.progress import SILENT, Progress


class _Sweep:
    """Every sender on every receiver input in one upward pass."""

    name = "sweep"
    description = (
        "every sender on every receiver input in one upward pass: exact up to the receiver's "
        "attention, first order behind it; exact for the logits"
    )
    is_exact = False
    has_remainders = True

    def add(
        self,
        batch: Batch,
        heads: tuple[Head, ...],
        sums: EdgeSums,
        max_rows: int,
        progress: Progress = SILENT,
    ) -> None:
        """Carry all senders of a batch upward, and add what they change to `sums`."""
        run, tokens, gradients = batch.paired, batch.tokens, batch.gradients
        below = _work_below(run.model.n_layers, heads)
        last = run.model.n_layers - 1
        with torch.no_grad():
            state = SenderState.empty(run, tokens)
            for index in range(run.model.n_layers):
                receivers = [head.index for head in heads if head.layer == index]
                if state.senders and receivers:
                    contraction = _LayerContraction(run, index, receivers, tokens, gradients[index])
                    contraction.add_to(sums, state, max_rows)
                if index == last:
                    state, tokens = state.at_end(tokens), ActivePositions.at_end(run.pairs)
                state = advance(run, index, state, tokens, heads, max_rows)
                progress(below[index + 1] / max(below[-1], 1))
            change = metric_above(run, last + 1, state.resid_pre, tokens) - run.clean_metric
            change = rearrange(change, "sender prompt -> sender prompt 1")
            sums.add([Receiver.logits()], state.senders, change, torch.zeros_like(change))


SWEEP = _Sweep()


def _work_below(n_layers: int, heads: Iterable[Head]) -> list[int]:
    """Senders carried through all layers below each layer: what the work is proportional to."""
    joining: defaultdict[int, int] = defaultdict(int)
    for head in heads:
        joining[head.layer] += 1
    carried, total = 0, [0]
    for layer in range(n_layers):
        carried += joining[layer]
        total.append(total[-1] + carried)
    return total


class _LayerContraction:
    """The receivers of one layer: what depends on the clean run alone, shared by all senders."""

    def __init__(
        self,
        run: PairedActivations,
        index: int,
        heads: list[int],
        tokens: ActivePositions,
        gradient: Float[Tensor, "read_token head d_head"],
    ) -> None:
        self.run, self.index, self.tokens, self.gradient = run, index, tokens, gradient
        self.layer: Layer = run.model.layers[index]
        self.clean: LayerActivations = run.clean[index]
        self.reading = read_tokens(run, index, tokens)
        kv_heads = sorted({self.layer.kv_head(head) for head in heads})
        self.units: dict[HeadInput, list[int]] = {"q": heads, "k": kv_heads, "v": kv_heads}
        self.clean_z = self.reading.pack(self.clean.z)
        self.clean_normed = self.layer.norm_attention(tokens.pack(self.clean.resid_pre))
        self.resid = self.reading.pack(self.clean.resid_pre)
        self.weights = {name: self._weights(name) for name in ("q", "k")}
        self.value_gradient, self.value_weights = self._through_pattern(kv_heads)

    def add_to(self, sums: EdgeSums, state: SenderState, max_rows: int) -> None:
        """Add the effects on this layer's receivers, a few senders at a time."""
        step = max(1, max_rows // len(self.tokens))
        chunks: dict[HeadInput, list[tuple[Tensor, Tensor]]] = {name: [] for name in HEAD_INPUTS}
        for resid_pre in state.resid_pre.split(step):
            normed = self.layer.norm_attention(resid_pre)
            chunks["q"].append(self._through_softmax("q", self._at_reading(normed)))
            chunks["k"].append(self._through_softmax("k", normed))
            chunks["v"].append(self._through_values(normed))
        for head_input, pieces in chunks.items():
            changes, remainders = (torch.cat(column) for column in zip(*pieces, strict=True))
            sums.add(self._receivers(head_input), state.senders, changes, remainders)

    def _receivers(self, head_input: HeadInput) -> list[Receiver]:
        """One for each unit: a key/value head's is that of the first head that reads it."""
        readers = [heads_reading(self.layer, head_input, [u])[0] for u in self.units[head_input]]
        return [Receiver(Head(self.index, reader), head_input) for reader in readers]

    def _at_reading(self, normed: Tensor) -> Tensor:
        return normed if self.reading is self.tokens else self.tokens.ends(normed)

    def _weights(self, head_input: HeadInput) -> Float[Tensor, "read_token unit"]:
        heads = heads_reading(self.layer, head_input, self.units[head_input])
        gradient = self.gradient[:, heads]
        return token_weights(self.layer, head_input, heads, gradient, self.resid)

    def _through_softmax(
        self, head_input: HeadInput, normed: Float[Tensor, "sender token d_model"]
    ) -> tuple[Float[Tensor, "sender prompt unit"], Float[Tensor, "sender prompt unit"]]:
        """Metric changes, and the size of what they leave out."""
        units = self.units[head_input]
        heads = heads_reading(self.layer, head_input, units)
        z = patched_z(self.run, self.index, head_input, units, normed, self.tokens, self.reading)
        change = z - self.clean_z[:, heads]
        per_head = einsum(
            change,
            self.gradient[:, heads],
            "sender token head d, token head d -> sender token head",
        )
        per_unit = group_sum(self.layer, head_input, per_head)
        sizes = remainder_sizes(self.layer, head_input, change, self.weights[head_input])
        return self.reading.sum_by_prompt(per_unit), self.reading.sum_by_prompt(sizes)

    def _through_values(
        self, normed: Float[Tensor, "sender token d_model"]
    ) -> tuple[Float[Tensor, "sender prompt unit"], Float[Tensor, "sender prompt unit"]]:
        change = normed - self.clean_normed
        effects = einsum(
            change, self.value_gradient, "sender token d, token unit d -> sender token unit"
        )
        squared = reduce(change**2, "sender token d -> sender token 1", "sum")
        sizes = squared * self.value_weights
        return self.tokens.sum_by_prompt(effects), self.tokens.sum_by_prompt(sizes)

    def _through_pattern(
        self, kv_heads: list[int]
    ) -> tuple[Float[Tensor, "token unit d_model"], Float[Tensor, "token unit"]]:
        """Head outputs are linear in the values: their gradient goes back to the normed input."""
        heads = heads_reading(self.layer, "v", kv_heads)
        queries = self.reading.to_slots(self.reading.pack(self.clean.queries[:, :, heads]))
        keys = self.clean.keys[:, :, kv_heads]
        allowed = self.layer.allowed(self.reading.slot_position, keys.shape[1])
        pattern = self.layer.pattern(queries, keys, allowed)
        gradient = rearrange(
            self.reading.to_slots(self.gradient[:, heads]),
            "prompt slot (unit group) d -> prompt slot unit group d",
            unit=len(kv_heads),
        )
        values = einsum(
            pattern,
            gradient,
            "prompt unit group slot pos, prompt slot unit group d -> prompt pos unit d",
        )
        resid = self.reading.to_slots(rearrange(self.resid, "token d -> token 1 d"))
        resid = rearrange(resid, "prompt slot 1 d -> prompt slot d")
        weights = value_weights(self.layer, kv_heads, pattern, gradient, resid)
        return einsum(
            self.tokens.pack(values),
            self.layer.value.weight[kv_heads],
            "token unit d, unit d d_model -> token unit d_model",
        ), self.tokens.pack(weights)
