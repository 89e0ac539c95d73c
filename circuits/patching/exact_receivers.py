"""What corrupting each edge alone does to its receiver, exactly, times slopes behind it.

A receiver reads the clean run's stream but for one sender, which gives what it gives on the
corrupted prompt: at every token, or at those of one span. Senders differ in nothing below the
receiver, so that all of them pass a layer together, and no layer above is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

from circuits.components import HEAD_INPUTS, HeadInput
from circuits.masking.node_outputs import SpanTokens
from circuits.masking.readers import Heads, Logits, Mlp, Reader
from circuits.masking.upward import Upward
from circuits.patching.receivers import patched_z
from circuits.runtime.progress import SILENT, Progress


@dataclass(frozen=True, eq=False)
class ExactReceivers:
    """Receivers in a clean run; what each loses without one of its senders.

    Attributes:
        run: In which every edge has the weight 1.
        max_rows: How many rows of (sender, token) pass a layer at once.

    """

    run: Upward
    max_rows: int

    def of_all(
        self, slopes: Float[Tensor, "sender token d_model"], progress: Progress = SILENT
    ) -> Float[Tensor, "receiver sender prompt"]:
        """What every receiver loses, times slopes at what each sender gives; 0 without an edge.

        Of the logits, which give nothing, the metric is lost.
        """
        outputs, readers = self.run.outputs, self.run.readers
        shape = len(outputs.graph.receivers), len(outputs.graph.senders)
        found = slopes.new_zeros(*shape, len(outputs.paired.pairs))
        for reader, _ in progress.each(readers, [reader.n_below for reader in readers]):
            for span, rows in reader.by_span:
                lost = self._of(reader, slopes[reader.columns], span)
                found[rows, : reader.n_below] = lost.to(found.device)
        return found

    def _of(
        self, reader: Reader, slopes: Float[Tensor, "node token d_model"], span: SpanTokens
    ) -> Float[Tensor, "receiver sender prompt"]:
        if isinstance(reader, Heads):
            (lost,) = self.of_heads(reader, HEAD_INPUTS, slopes[None], span)
            return rearrange(lost, "name head sender prompt -> (name head) sender prompt")
        if isinstance(reader, Mlp):
            return self.of_mlp(reader, slopes[0], span)[None]
        assert isinstance(reader, Logits)
        return self.of_logits(reader, span)[None]

    def of_heads(
        self,
        reader: Heads,
        inputs: Sequence[HeadInput],
        slopes: Float[Tensor, "set head token d_model"],
        span: SpanTokens,
    ) -> Float[Tensor, "set input head sender prompt"]:
        """What heads' outputs lose by some of their inputs, times several slopes there."""
        paired, tokens = self.run.outputs.paired, self.run.outputs.tokens
        layer = paired.model.layers[reader.layer]
        by_z = einsum(
            slopes.to(layer.device),
            layer.output.weight,
            "set head token d_model, head d_head d_model -> set token head d_head",
        )
        clean = tokens.pack(paired.clean[reader.layer].z)
        shape = len(slopes), len(inputs), layer.n_heads, reader.n_below, len(paired.pairs)
        found = by_z.new_zeros(shape)
        for columns, streams in self.run.without_each(reader, self._together, span):
            without = rearrange(streams, "sender 1 token d -> sender token d").to(layer.device)
            normed = layer.norm_attention(without)
            for place, name in enumerate(inputs):
                units = list(range(layer.n_heads if name == "q" else layer.n_kv_heads))
                z = patched_z(paired, reader.layer, name, units, normed, tokens, tokens)
                lost = einsum(
                    clean - z,
                    by_z,
                    "sender token head d, set token head d -> set sender token head",
                )
                by_prompt = tokens.sum_by_prompt(lost)
                found[:, place, :, columns] = rearrange(
                    by_prompt, "set sender prompt head -> set head sender prompt"
                )
        return found

    def of_mlp(
        self, reader: Mlp, slope: Float[Tensor, "token d_model"], span: SpanTokens
    ) -> Float[Tensor, "sender prompt"]:
        """What an MLP's output loses, times the slope there."""
        outputs = self.run.outputs
        (clean,) = outputs.change[reader.columns]
        found = slope.new_zeros(reader.n_below, len(outputs.paired.pairs))
        for columns, streams in self.run.without_each(reader, self._together, span):
            without = rearrange(reader.read(streams), "sender 1 token d -> sender token d")
            lost = einsum(clean - without, slope, "sender token d, token d -> sender token")
            by_prompt = outputs.tokens.sum_by_prompt(rearrange(lost, "s token -> s token 1"))
            found[columns] = rearrange(by_prompt, "sender prompt 1 -> sender prompt")
        return found

    def of_logits(self, reader: Logits, span: SpanTokens) -> Float[Tensor, "sender prompt"]:
        """What the metric loses."""
        whole = self.run.metric
        found = whole.new_zeros(reader.n_below, len(whole))
        for columns, streams in self.run.without_each(reader, self._together, span):
            found[columns] = whole - reader.read(streams)
        return found

    @property
    def _together(self) -> int:
        return max(1, self.max_rows // len(self.run.outputs.tokens))
