"""Running a model with all heads outside a circuit replaced: by means, corrupted outputs, zeros."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from circuits.ablation.streams import Replacements, Streams
from circuits.components import Head
from circuits.forward import LayeredModel
from circuits.forward.activations import run_layers, trim
from circuits.metrics import Metric
from circuits.tasks import PromptPairs

Progress = Callable[[float], None]


_ROWS_OF_STATE = 8
"""A residual stream takes this many times less memory than what an MLP makes of it."""


@runtime_checkable
class HeadOutputs(Protocol):
    """What heads outside a circuit give instead of their own output."""

    def replacements(self, layer: int, pairs: PromptPairs) -> Replacements:
        """What one layer's heads give on each of `pairs` where they are replaced."""
        ...

    def differ(self, pairs: PromptPairs) -> Bool[Tensor, "prompt pos"]:
        """Where head outputs on clean prompts can differ from that: nowhere, then everywhere."""
        ...


@dataclass(frozen=True, eq=False)
class MeanOutputs:
    """Mean head outputs over corrupted prompts of one template and position.

    Attributes:
        templates: The templates, rising.
        z: Of each layer.
        outputs: Of each layer: the mean outputs of all heads through the output projection.
        opening: The tokens that all prompts of a template begin with, then -1.

    """

    templates: Int[Tensor, " template"]
    z: tuple[Float[Tensor, "template pos head d_head"], ...]
    outputs: tuple[Float[Tensor, "template pos d_model"], ...]
    opening: Int[Tensor, "template pos"]

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
        members = torch.stack([group == index for index in range(len(templates))])
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
            outputs = [layer.output(z) for layer, z in zip(model.layers, sums, strict=True)]
        opening = torch.stack([_opening(pairs.corrupted[rows]) for rows in members])
        return cls(templates, tuple(sums), tuple(outputs), opening)

    def for_prompts(self, pairs: PromptPairs) -> Int[Tensor, " prompt"]:
        """Row of each prompt's template. Raises ValueError for a template without a mean."""
        row = torch.searchsorted(self.templates, pairs.template).clamp(max=len(self.templates) - 1)
        if not bool((self.templates[row] == pairs.template).all()):
            raise ValueError(
                "a prompt's template has no mean head outputs: take the means over a larger sample "
                "of the same task"
            )
        return row

    def replacements(self, layer: int, pairs: PromptPairs) -> Replacements:
        """What one layer's heads give on each of `pairs` where they are replaced."""
        template, length = self.for_prompts(pairs), pairs.clean.shape[1]
        return Replacements(
            self.z[layer][template, :length], self.outputs[layer][template, :length]
        )

    def differ(self, pairs: PromptPairs) -> Bool[Tensor, "prompt pos"]:
        """Where head outputs on clean prompts can differ from their mean.

        Up to there every prompt that the mean is over begins like the clean one, so that attention,
        which is causal, sees the same.
        """
        opening = self.opening[self.for_prompts(pairs), : pairs.clean.shape[1]]
        return (opening != pairs.clean).cumsum(-1) > 0


@dataclass(frozen=True, eq=False)
class CorruptedOutputs:
    """Head outputs on each pair's own corrupted prompt (resample ablation).

    What EAP-IG (arXiv 2403.17806) and MIB (arXiv 2504.13151) call patching.

    Attributes:
        z: Of each layer.
        outputs: Of each layer: the outputs of all heads through the output projection.

    """

    z: tuple[Float[Tensor, "prompt pos head d_head"], ...]
    outputs: tuple[Float[Tensor, "prompt pos d_model"], ...]

    @classmethod
    def of(cls, model: LayeredModel, pairs: PromptPairs) -> CorruptedOutputs:
        """Run the corrupted prompts of `pairs`, all at once: a batch that fits into memory."""
        pairs = trim(pairs.to(model.device))
        with torch.no_grad():
            z = tuple(record.z for record in run_layers(model, pairs.corrupted)[0])
            outputs = [layer.output(own) for layer, own in zip(model.layers, z, strict=True)]
        return cls(z, tuple(outputs))

    def replacements(self, layer: int, pairs: PromptPairs) -> Replacements:
        """What one layer's heads give on each of the pairs that these outputs are of."""
        return Replacements(self.z[layer], self.outputs[layer])

    def differ(self, pairs: PromptPairs) -> Bool[Tensor, "prompt pos"]:
        """From the first token on that the corruption changes."""
        return (pairs.clean != pairs.corrupted).cumsum(-1) > 0


@dataclass(frozen=True, eq=False)
class ZeroOutputs:
    """No head output at all (zero ablation): what is left of attention is its output bias."""

    model: LayeredModel

    def replacements(self, layer: int, pairs: PromptPairs) -> Replacements:
        """Zeros for each of `pairs`."""
        output = self.model.layers[layer].output
        n_heads, d_head, _ = output.weight.shape
        z = output.weight.new_zeros(*pairs.clean.shape, n_heads, d_head)
        return Replacements(z, output(z))

    def differ(self, pairs: PromptPairs) -> Bool[Tensor, "prompt pos"]:
        """Everywhere."""
        return torch.ones_like(pairs.clean, dtype=torch.bool)


def ablated_metric(
    model: LayeredModel,
    pairs: PromptPairs,
    replaced: HeadOutputs,
    circuits: Sequence[frozenset[Head]],
    metric: Metric,
    max_rows: int = 8192,
    progress: Progress = lambda fraction: None,
) -> Float[Tensor, "circuit prompt"]:
    """The metric on clean prompts when every head outside a circuit is replaced.

    Args:
        model: The model in pieces.
        pairs: The prompts to run.
        replaced: What the other heads give: mean head outputs, of templates that include those of
            `pairs`; outputs on the corrupted prompts of just these pairs; or zeros.
        circuits: The heads kept, for each of several circuits run together. Those that keep the
            same heads in the lowest layers share the work of these layers.
        metric: From logits at the answers to one number per prompt.
        max_rows: How many (circuit, prompt, position) rows are computed at once.
        progress: Called with the fraction done.

    """
    pairs = trim(pairs.to(model.device))
    kept = kept_mask(circuits, model.n_layers, model.n_heads).to(model.device)
    # Sorted by layer, so that circuits that share low layers come together.
    distinct, index = kept.unique(dim=0, return_inverse=True)
    parts = distinct.split(max(1, _ROWS_OF_STATE * max_rows // pairs.clean.numel()))
    with torch.no_grad():
        start = Streams.start(model.embed(pairs.clean), pairs.end)
        chunks = []
        for number, part in enumerate(parts):

            def report(fraction: float, number: int = number) -> None:
                progress((number + fraction) / len(parts))

            chunks.append(_run(model, pairs, replaced, start, part, metric, max_rows, report))
    return torch.cat(chunks)[index]


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
    replaced: HeadOutputs,
    streams: Streams,
    kept: Bool[Tensor, "circuit layer head"],
    metric: Metric,
    max_rows: int,
    progress: Progress,
) -> Float[Tensor, "circuit prompt"]:
    positions, end = torch.arange(pairs.clean.shape[1], device=model.device), pairs.end[:, None]
    acts = replaced.differ(pairs)
    for index, layer in enumerate(model.layers):
        read_above = kept[:, index + 1 :].flatten(1).any(1)[:, None, None]
        wanted = (positions == end) | ((positions < end) & read_above)
        streams = streams.through(
            layer, kept[:, index], acts, wanted, replaced.replacements(index, pairs), max_rows
        )
        progress((index + 1) / model.n_layers)
    answers = streams.row[:, torch.arange(len(pairs), device=model.device), pairs.end]
    parts = answers.split(max(1, max_rows // pairs.clean.numel()))
    return torch.cat([metric(model.unembed(streams.resid[rows]), pairs) for rows in parts])


def _opening(tokens: Int[Tensor, "prompt pos"]) -> Int[Tensor, " pos"]:
    """The tokens that all prompts begin with; -1 from where they differ."""
    differ = (tokens != tokens[:1]).any(0).cumsum(0) > 0
    return tokens[0].masked_fill(differ, -1)
