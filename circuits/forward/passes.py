"""What layers compute on whole prompts, clean and corrupted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuits.forward.layers import Layer
from circuits.forward.model import LayeredModel
from circuits.forward.prompts import readable, trim
from circuits.metrics import Metric
from circuits.tasks import PromptPairs


@dataclass(frozen=True, eq=False)
class LayerActivations:
    """What one layer computed, at every position (`pos`) of each prompt.

    Attributes:
        resid_pre: The residual stream that enters the layer.
        queries: Of every query head, normalised and rotated where the family does so, with what
            `Layer.queries` puts behind its entries.
        keys: Of every key/value head, likewise.
        values: Of every key/value head.
        z: The output of every query head, before the output projection.

    >>> first = activations.batches[0].paired.clean[0]
    >>> first.z.shape, first.keys.shape  # four query heads share two key/value heads
    (torch.Size([4, 8, 4, 8]), torch.Size([4, 8, 2, 8]))
    """

    resid_pre: Float[Tensor, "*batch prompt pos d_model"]
    queries: Float[Tensor, "*batch prompt pos head d_query"]
    keys: Float[Tensor, "*batch prompt pos kv_head d_query"]
    values: Float[Tensor, "*batch prompt pos kv_head d_head"]
    z: Float[Tensor, "*batch prompt pos head d_head"]

    def select(self, rows: Int[Tensor, " prompt"], length: int) -> LayerActivations:
        """The same of some prompts, up to a position."""
        rows = rows.to(self.z.device)
        parts = {one.name: getattr(self, one.name)[rows, :length] for one in fields(self)}
        return LayerActivations(**parts)


@dataclass(frozen=True, eq=False)
class PairedActivations:
    """Clean activations of some pairs, corrupted head outputs, and the metric on both.

    Attributes:
        model: The model in pieces.
        pairs: The pairs, without columns behind the last answer.
        metric: From logits at the answers to one number per prompt.
        clean: What each layer computed on the clean prompts.
        corrupted_z: Each layer's head outputs on the corrupted prompts.
        clean_metric: Of each clean prompt.
        corrupted_metric: Of each corrupted prompt.

    >>> from circuits.metrics import logit_diff
    >>> paired = PairedActivations.of(layered, pairs, logit_diff)
    >>> len(paired.clean), paired.corrupted_z[0].shape, paired.clean_metric.shape
    (3, torch.Size([4, 8, 4, 8]), torch.Size([4]))
    """

    model: LayeredModel
    pairs: PromptPairs
    metric: Metric
    clean: tuple[LayerActivations, ...]
    corrupted_z: tuple[Float[Tensor, "prompt pos head d_head"], ...]
    clean_metric: Float[Tensor, " prompt"]
    corrupted_metric: Float[Tensor, " prompt"]

    @classmethod
    def of(cls, model: LayeredModel, pairs: PromptPairs, metric: Metric) -> PairedActivations:
        """Run both prompts of every pair once, without gradients."""
        pairs = readable(model.bridge, pairs)
        with torch.no_grad():
            clean, clean_resid = run_layers(model, pairs.clean, pairs)
            corrupted, corrupted_resid = run_layers(model, pairs.corrupted, pairs)
            metrics = [
                metric(model.unembed(resid), pairs) for resid in (clean_resid, corrupted_resid)
            ]
        return cls(model, pairs, metric, clean, tuple(layer.z for layer in corrupted), *metrics)

    def select(self, rows: Int[Tensor, " prompt"]) -> PairedActivations:
        """The same of some prompts, without running them again."""
        if torch.equal(rows.cpu(), torch.arange(len(self.pairs))):
            return self
        pairs = trim(self.pairs[rows])
        here, length = rows.to(self.model.device), pairs.clean.shape[1]
        return replace(
            self,
            pairs=pairs,
            clean=tuple(layer.select(here, length) for layer in self.clean),
            corrupted_z=tuple(z[rows.to(z.device), :length] for z in self.corrupted_z),
            clean_metric=self.clean_metric[here],
            corrupted_metric=self.corrupted_metric[here],
        )


def at_end(
    x: Float[Tensor, "prompt pos *rest"], pairs: PromptPairs
) -> Float[Tensor, " prompt *rest"]:
    """Each prompt's row where the answer is read."""
    return x[torch.arange(len(pairs), device=x.device), pairs.end.to(x.device)]


def run_layers(
    model: LayeredModel, tokens: Int[Tensor, "prompt pos"], pairs: PromptPairs | None = None
) -> tuple[tuple[LayerActivations, ...], Float[Tensor, "prompt *pos d_model"]]:
    """Every layer's activations, and the final residual stream of a full forward pass.

    With `pairs` that is where their answers are read, and nothing else is computed of it.
    """
    resid = model.embed(tokens)
    records = []
    for layer in model.layers:
        records.append(run_heads(layer, resid))
        read, attended = records[-1].resid_pre, records[-1].z
        if pairs is not None and layer is model.layers[-1]:
            read, attended = at_end(read, pairs), at_end(attended, pairs)
        resid = layer.finish(read, layer.attention_output(attended))
    return tuple(records), resid


def layer_by_layer(
    model: LayeredModel, tokens: Int[Tensor, "prompt pos"]
) -> Iterator[LayerActivations]:
    """Every layer's activations, run no further than they are asked for."""
    resid = model.embed(tokens)
    for layer in model.layers:
        record = run_heads(layer, resid)
        yield record
        if layer is not model.layers[-1]:
            resid = layer.finish(record.resid_pre, layer.attention_output(record.z))


def head_outputs(
    model: LayeredModel, tokens: Int[Tensor, "prompt pos"]
) -> Iterator[Float[Tensor, "prompt pos head d_head"]]:
    """Every layer's z, run no further than it is asked for."""
    return (record.z for record in layer_by_layer(model, tokens))


def run_heads(
    layer: Layer, resid_pre: Float[Tensor, "*batch prompt pos d_model"]
) -> LayerActivations:
    """One layer's heads on whole prompts, where the layer is."""
    resid_pre = resid_pre.to(layer.device)
    n_prompts, length = resid_pre.shape[-3:-1]
    positions = torch.arange(length, device=resid_pre.device)
    allowed = layer.allowed(positions.expand(n_prompts, -1), length)
    normed = layer.norm_attention(resid_pre)
    queries = layer.queries(normed, positions)
    keys, values = layer.keys(normed, positions), layer.values(normed)
    return LayerActivations(
        resid_pre, queries, keys, values, layer.attend(queries, keys, values, allowed)
    )
