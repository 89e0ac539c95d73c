"""Running a model with every head's output mixed with a replacement, and gradients by the weights.

A head's weight w in [0, 1] makes its output w z + (1 - w) replacement: 1 is the head itself, 0 the
head ablated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from circuits.ablation.outputs import HeadOutputs, OutputsOnPrompts
from circuits.forward import Layer, LayeredModel
from circuits.forward.finite import check_finite
from circuits.forward.passes import at_end
from circuits.forward.prompts import readable
from circuits.metrics import Metric
from circuits.runtime.shrinking import Shrinking
from circuits.tasks import PromptPairs

_TOGETHER = Shrinking("prompts")


@dataclass(frozen=True, eq=False)
class WeightedRun:
    """What a run with one weight for all heads of a circuit gives.

    Attributes:
        metric: Of each clean prompt.
        gradients: Of each prompt's metric by the weight of each head; 0 for heads outside.

    >>> from circuits.metrics import logit_diff
    >>> kept = torch.ones(3, 4, dtype=torch.bool)
    >>> run = weighted_gradients(layered, pairs, evaluator.means, kept, 0.5, logit_diff)
    >>> run.metric.shape, run.gradients.shape
    (torch.Size([4]), torch.Size([4, 3, 4]))
    """

    metric: Float[Tensor, " prompt"]
    gradients: Float[Tensor, "prompt layer head"]


def weighted_gradients(
    model: LayeredModel,
    pairs: PromptPairs,
    replaced: HeadOutputs,
    kept: Bool[Tensor, "layer head"],
    weight: float,
    metric: Metric,
) -> WeightedRun:
    """Run clean prompts with the heads of a circuit at one weight, and all others replaced.

    One forward and one backward pass, in which heads outside the circuit are not computed.

    Args:
        model: The model in pieces.
        pairs: The prompts, few enough for one batch.
        replaced: What heads give in the place of their own output, as in `ablated_metric`.
        kept: The heads of the circuit.
        weight: Of each of them, 0 to 1.
        metric: From logits at the answers to one number per prompt.

    Raises:
        NonFiniteError: A gradient is NaN or infinite on some prompts.

    >>> from circuits.metrics import logit_diff
    >>> kept = torch.ones(3, 4, dtype=torch.bool)  # all heads at weight 1: the model itself
    >>> run = weighted_gradients(layered, pairs, evaluator.means, kept, 1.0, logit_diff)
    >>> run.metric.allclose(activations.clean_metric, atol=1e-4)
    True
    """
    pairs = readable(model.bridge, pairs)
    mixture = _Mixture(model, pairs, replaced.on(pairs), kept, weight, metric)

    def run(size: int) -> WeightedRun:
        prompts = torch.arange(len(pairs), device=model.device).split(size)
        parts = [mixture.run(rows) for rows in prompts]
        return WeightedRun(
            torch.cat([part.metric for part in parts]),
            torch.cat([part.gradients for part in parts]),
        )

    found = _TOGETHER.run(len(pairs), run)
    numbers = rearrange(found.gradients, "prompt layer head -> layer head prompt")
    check_finite(model.bridge, "a gradient by the weight of a head", numbers, [pairs.clean])
    return found


@dataclass(frozen=True, eq=False)
class _Mixture:
    """What `weighted_gradients` is given, with the replacements of all prompts together."""

    model: LayeredModel
    pairs: PromptPairs
    replaced: OutputsOnPrompts
    kept: Bool[Tensor, "layer head"]
    weight: float
    metric: Metric

    def run(self, rows: Int[Tensor, " some"]) -> WeightedRun:
        """Some of the prompts."""
        model, gradients = self.model, torch.zeros(len(rows), *self.kept.shape)
        weights = {
            layer: model.layers[layer].query.weight.new_full((len(rows), n), self.weight)
            for layer, n in enumerate(self.kept.sum(1).tolist())
            if n
        }
        with torch.enable_grad():
            for of_layer in weights.values():
                of_layer.requires_grad_()
            resid = self._final_resid(weights, rows)
            found = self.metric(model.unembed(resid), self.pairs[rows])
            slopes = torch.autograd.grad(found.sum(), list(weights.values())) if weights else ()
        if slopes:  # Together: one transfer from the device instead of one for each layer.
            slopes = [slope.to(model.device) for slope in slopes]
            gradients[:, self.kept] = torch.cat(slopes, 1).float().cpu()
        return WeightedRun(found.detach(), gradients)

    def _final_resid(
        self, weights: Mapping[int, Float[Tensor, "some chosen"]], rows: Int[Tensor, " some"]
    ) -> Float[Tensor, "some d_model"]:
        """The residual stream where the answers are read, with the weights of layers' heads."""
        pairs = self.pairs[rows]
        with torch.no_grad():
            resid = self.model.embed(pairs.clean)
        # Nothing above the last head looks at other positions than the answers'.
        last = max(weights, default=-1)
        for index, layer in enumerate(self.model.layers):
            given, before = self.replaced.of_layer(index), resid
            written, replacement = (x[rows.to(x.device)] for x in (given.output, given.z))
            if index >= last:
                written, replacement = at_end(written, pairs), at_end(replacement, pairs)
            if index == max(last, 0):
                resid = at_end(resid, pairs)
            if index in weights:
                heads = self.kept[index].nonzero()[:, 0].tolist()
                z = _head_outputs(layer, before, pairs, heads, at_answers=index == last)
                share = weights[index] if index == last else weights[index][:, None]
                change = share[..., None] * (z - replacement[..., heads, :])
                written = written + layer.output.of_heads(change, heads)
            resid = layer.finish(resid, layer.norm_output(written))
        return resid


def _head_outputs(
    layer: Layer,
    resid: Float[Tensor, "prompt pos d_model"],
    pairs: PromptPairs,
    heads: list[int],
    *,
    at_answers: bool,
) -> Float[Tensor, "prompt *pos head d_head"]:
    """Z of some heads, everywhere or where the answers are read."""
    length = resid.shape[1]
    positions = torch.arange(length, device=resid.device)
    normed = layer.norm_attention(resid)
    # Every head beside a copy of the key and value it reads: groups may be kept in part.
    kv_heads = sorted({layer.kv_head(head) for head in heads})
    own = [kv_heads.index(layer.kv_head(head)) for head in heads]
    keys = layer.keys(normed, positions, kv_heads)[:, :, own]
    values = layer.values(normed, kv_heads)[:, :, own]
    if not at_answers:
        queries = layer.queries(normed, positions, heads)
        everywhere = positions.expand(len(pairs), -1)
        return layer.attend(queries, keys, values, layer.allowed(everywhere, length))
    queries = layer.queries(at_end(normed, pairs), pairs.end, heads)[:, None]
    allowed = layer.allowed(pairs.end[:, None], length)
    return layer.attend(queries, keys, values, allowed)[:, 0]
