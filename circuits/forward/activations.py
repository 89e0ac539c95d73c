"""The clean and the corrupted run that every path effect starts from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuits.forward.layers import Layer, LayeredModel
from circuits.metrics import Metric
from circuits.tasks import PromptPairs


@dataclass(frozen=True, eq=False)
class LayerRun:
    """What one layer computed, at every position (`pos`) of each prompt."""

    resid_pre: Float[Tensor, "*batch prompt pos d_model"]
    queries: Float[Tensor, "*batch prompt pos head d_head"]
    keys: Float[Tensor, "*batch prompt pos kv_head d_head"]
    values: Float[Tensor, "*batch prompt pos kv_head d_head"]
    z: Float[Tensor, "*batch prompt pos head d_head"]


@dataclass(frozen=True, eq=False)
class PairedRun:
    """Clean run, corrupted head outputs, and the metric on both."""

    model: LayeredModel
    pairs: PromptPairs
    metric: Metric
    clean: tuple[LayerRun, ...]
    corrupted_z: tuple[Float[Tensor, "prompt pos head d_head"], ...]
    clean_metric: Float[Tensor, " prompt"]
    corrupted_metric: Float[Tensor, " prompt"]

    @classmethod
    def of(cls, model: LayeredModel, pairs: PromptPairs, metric: Metric) -> PairedRun:
        """Run both prompts of every pair once, without gradients."""
        pairs = trim(pairs.to(model.device))
        with torch.no_grad():
            clean, clean_resid = run_layers(model, pairs.clean)
            corrupted, corrupted_resid = run_layers(model, pairs.corrupted)
            metrics = [
                metric(model.unembed(at_end(resid, pairs)), pairs)
                for resid in (clean_resid, corrupted_resid)
            ]
        return cls(model, pairs, metric, clean, tuple(layer.z for layer in corrupted), *metrics)


def paired_runs(
    model: LayeredModel, pairs: PromptPairs, metric: Metric, batch: int = 32
) -> Iterator[PairedRun]:
    """The runs of many prompts, a few at a time."""
    for rows in torch.arange(len(pairs)).split(batch):
        yield PairedRun.of(model, pairs[rows], metric)


def trim(pairs: PromptPairs) -> PromptPairs:
    """Drop the columns behind the last answer position: causal attention never sees them."""
    length = int(pairs.end.max()) + 1
    return replace(pairs, clean=pairs.clean[:, :length], corrupted=pairs.corrupted[:, :length])


def at_end(
    x: Float[Tensor, "prompt pos *rest"], pairs: PromptPairs
) -> Float[Tensor, " prompt *rest"]:
    """Each prompt's row where the answer is read."""
    return x[torch.arange(len(pairs), device=x.device), pairs.end]


def run_layers(
    model: LayeredModel, tokens: Int[Tensor, "prompt pos"]
) -> tuple[tuple[LayerRun, ...], Float[Tensor, "prompt pos d_model"]]:
    """Every layer's record and the final residual stream of a full forward pass."""
    resid = model.embed(tokens)
    records = []
    for layer in model.layers:
        records.append(run_heads(layer, resid))
        resid = layer.finish(resid, layer.attention_output(records[-1].z))
    return tuple(records), resid


def run_heads(layer: Layer, resid_pre: Float[Tensor, "*batch prompt pos d_model"]) -> LayerRun:
    """One layer's heads on whole prompts."""
    n_prompts, length = resid_pre.shape[-3:-1]
    positions = torch.arange(length, device=resid_pre.device)
    allowed = layer.allowed(positions.expand(n_prompts, -1), length)
    normed = layer.norm_attention(resid_pre)
    queries = layer.queries(normed, positions)
    keys, values = layer.keys(normed, positions), layer.values(normed)
    return LayerRun(resid_pre, queries, keys, values, layer.attend(queries, keys, values, allowed))
