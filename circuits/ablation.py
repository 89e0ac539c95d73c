"""Running a model with all heads outside a circuit replaced by their mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from circuits.components import Head
from circuits.metrics import Metric
from circuits.model import LayeredModel
from circuits.model.runs import at_end, run_heads, run_layers, trim
from tasks import PromptPairs

Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class MeanOutputs:
    """Mean head outputs over corrupted prompts of one template and position."""

    templates: Int[Tensor, " template"]
    z: tuple[Float[Tensor, "template pos head d_head"], ...]

    @classmethod
    def of(
        cls,
        model: LayeredModel,
        pairs: PromptPairs,
        batch: int = 32,
        progress: Progress = lambda fraction: None,
    ) -> MeanOutputs:
        """Average over the corrupted prompts of `pairs`, a few prompts at a time."""
        pairs = trim(pairs.to(model.device))
        templates, group = pairs.template.unique(return_inverse=True)
        members = torch.stack([(group == index).float() for index in range(len(templates))])
        shares = members / members.sum(1, keepdim=True)
        sums: list[Tensor] = []
        with torch.no_grad():
            for rows in torch.arange(len(pairs)).split(batch):
                part = pairs[rows]
                records, _ = run_layers(model, part.corrupted)
                means = [
                    torch.einsum("tp,p...->t...", shares[:, rows].to(record.z), record.z)
                    for record in records
                ]
                sums = means if not sums else [a + b for a, b in zip(sums, means, strict=True)]
                progress((int(rows[-1]) + 1) / len(pairs))
        return cls(templates, tuple(sums))

    def for_prompts(self, pairs: PromptPairs) -> Int[Tensor, " prompt"]:
        """Row of each prompt's template. Raises ValueError for a template without a mean."""
        row = torch.searchsorted(self.templates, pairs.template).clamp(max=len(self.templates) - 1)
        if not bool((self.templates[row] == pairs.template).all()):
            raise ValueError(
                "a prompt's template has no mean head outputs: take the means over a larger sample "
                "of the same task"
            )
        return row


def ablated_metric(
    model: LayeredModel,
    pairs: PromptPairs,
    means: MeanOutputs,
    circuits: Sequence[frozenset[Head]],
    metric: Metric,
    max_rows: int = 8192,
    progress: Progress = lambda fraction: None,
) -> Float[Tensor, "circuit prompt"]:
    """The metric on clean prompts when every head outside a circuit gives its mean output.

    Args:
        model: The model in pieces.
        pairs: The prompts to run.
        means: Mean head outputs, of templates that include those of `pairs`.
        circuits: The heads kept, for each of several circuits run together.
        metric: From logits at the answers to one number per prompt.
        max_rows: How many (circuit, prompt, position) rows are computed at once.
        progress: Called with the fraction done.

    """
    pairs = trim(pairs.to(model.device))
    kept = kept_mask(circuits, model.n_layers, model.n_heads).to(model.device)
    template = means.for_prompts(pairs)
    step = max(1, max_rows // pairs.clean.numel())
    with torch.no_grad():
        resid = model.embed(pairs.clean)
        chunks = []
        for part in kept.split(step):
            chunks.append(_run(model, pairs, means, template, resid, part, metric))
            progress(sum(map(len, chunks)) / len(kept))
    return torch.cat(chunks)


def kept_mask(
    circuits: Sequence[frozenset[Head]], n_layers: int, n_heads: int
) -> Bool[Tensor, "circuit layer head"]:
    """Which heads each circuit keeps."""
    mask = torch.zeros(len(circuits), n_layers, n_heads, dtype=torch.bool)
    for row, heads in enumerate(circuits):
        for head in heads:
            mask[row, head.layer, head.index] = True
    return mask


def _run(
    model: LayeredModel,
    pairs: PromptPairs,
    means: MeanOutputs,
    template: Int[Tensor, " prompt"],
    embedded: Float[Tensor, "prompt pos d_model"],
    kept: Bool[Tensor, "circuit layer head"],
    metric: Metric,
) -> Float[Tensor, "circuit prompt"]:
    length = pairs.clean.shape[1]
    resid = repeat(embedded, "prompt pos d -> circuit prompt pos d", circuit=len(kept))
    for index, layer in enumerate(model.layers):
        z = run_heads(layer, resid).z
        mean = means.z[index][template, :length]
        z = z.where(rearrange(kept[:, index], "circuit head -> circuit 1 1 head 1"), mean)
        resid = layer.finish(resid, layer.attention_output(z))
    final = rearrange(resid, "circuit prompt pos d -> prompt pos circuit d")
    at_answer = rearrange(at_end(final, pairs), "prompt circuit d -> circuit prompt d")
    return metric(model.unembed(at_answer), pairs)
