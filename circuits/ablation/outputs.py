"""What heads give instead of their own output: means, corrupted outputs, zeros."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from circuits.ablation.distinct_streams import Replacements
from circuits.errors import MismatchError
from circuits.forward import Activations, LayeredModel
from circuits.forward.passes import PairedActivations, head_outputs
from circuits.forward.prompts import readable, trim
from circuits.runtime.progress import SILENT, Progress
from circuits.runtime.shrinking import Shrinking
from circuits.tasks import PromptPairs

_PROMPTS_TOGETHER = 32
_TOGETHER = Shrinking("prompts")


@dataclass(frozen=True, eq=False)
class OutputsOnPrompts:
    """What heads outside a circuit give on some prompts instead of their own output.

    Attributes:
        differ: Where head outputs on clean prompts can differ from that: nowhere, then everywhere.
        of_layer: What the heads of a layer give.

    >>> given = MeanOutputs.of(layered, pairs).on(pairs)
    >>> given.of_layer(0).z.shape  # prompt, position, head, d_head
    torch.Size([4, 8, 4, 8])
    """

    differ: Bool[Tensor, "prompt pos"]
    of_layer: Callable[[int], Replacements]


@runtime_checkable
class HeadOutputs(Protocol):
    """What heads outside a circuit give instead of their own output.

    `ablated_metric` takes anything that has this method.

    >>> isinstance(MeanOutputs.of(layered, pairs), HeadOutputs)
    True
    """

    def on(self, pairs: PromptPairs) -> OutputsOnPrompts:
        """The same on some prompts. Raises MismatchError where it is not known of these."""
        ...


@dataclass(frozen=True, eq=False)
class MeanOutputs:
    """Mean head outputs over corrupted prompts of one template and position (mean ablation).

    Attributes:
        templates: The templates, rising.
        z: Of each layer: the mean output of every head, before the output projection.
        outputs: Of each layer: the mean outputs of all heads through the output projection.
        opening: The tokens that all prompts of a template begin with, then -1.

    >>> means = MeanOutputs.of(layered, pairs)
    >>> len(means.z), means.z[0].shape  # template, position, head, d_head
    (3, torch.Size([2, 8, 4, 8]))
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
        known: Activations | None = None,
        progress: Progress = SILENT,
    ) -> MeanOutputs:
        """Average over the corrupted prompts of `pairs`, a few prompts at a time.

        The first of them may be `known`: those are not run again.
        """
        pairs = readable(model.bridge, pairs)
        templates, group = pairs.template.unique(return_inverse=True)
        members = torch.stack([group == index for index in range(len(templates))])
        shares = members / members.sum(1, keepdim=True)

        def run(size: int) -> list[Float[Tensor, "template pos head d_head"]]:
            sums: list[Tensor] = []
            for rows, outputs in _corrupted_z(model, pairs, known, size, progress):
                for index, z in enumerate(outputs):
                    means = torch.einsum("tp,p...->t...", shares[:, rows].to(z), z)
                    if len(sums) <= index:
                        sums.append(z.new_zeros(len(templates), pairs.clean.shape[1], *z.shape[2:]))
                    sums[index][:, : z.shape[1]] += means
            return sums

        with torch.no_grad():
            sums = _TOGETHER.run(_PROMPTS_TOGETHER, run)
            projected = [layer.output(z) for layer, z in zip(model.layers, sums, strict=True)]
        opening = torch.stack([_opening(pairs.corrupted[rows]) for rows in members])
        return cls(templates, tuple(sums), tuple(projected), opening)

    def for_prompts(self, pairs: PromptPairs) -> Int[Tensor, " prompt"]:
        """Row of each prompt's template. Raises MismatchError for one without a mean."""
        wanted = pairs.template.to(self.templates.device)
        row = torch.searchsorted(self.templates, wanted).clamp(max=len(self.templates) - 1)
        if not bool((self.templates[row] == wanted).all()):
            raise MismatchError(
                "a prompt's template has no mean head outputs: take the means over a larger sample "
                "of the same task"
            )
        return row

    def on(self, pairs: PromptPairs) -> OutputsOnPrompts:
        """The means of each prompt's template. Raises MismatchError as `for_prompts`.

        Up to where a clean prompt no longer begins like every prompt that the mean is over, heads
        give the same: attention, which is causal, sees the same.
        """
        template, length = self.for_prompts(pairs), pairs.clean.shape[1]

        def of_layer(layer: int) -> Replacements:
            row = template.to(self.z[layer].device)
            return Replacements(self.z[layer][row, :length], self.outputs[layer][row, :length])

        opening = self.opening[template, :length]
        return OutputsOnPrompts((opening != pairs.clean).cumsum(-1) > 0, of_layer)


@dataclass(frozen=True, eq=False)
class CorruptedOutputs:
    """Head outputs on each pair's own corrupted prompt (resample ablation).

    What EAP-IG (arXiv 2403.17806) and MIB (arXiv 2504.13151) call patching.

    Attributes:
        z: Of each layer: the output of every head, before the output projection.
        outputs: Of each layer: the outputs of all heads through the output projection.

    >>> given = CorruptedOutputs.of(layered, pairs).on(pairs)
    >>> given.differ[0, :4]  # from the first changed token on
    tensor([False,  True,  True,  True])
    """

    z: tuple[Float[Tensor, "prompt pos head d_head"], ...]
    outputs: tuple[Float[Tensor, "prompt pos d_model"], ...]

    @classmethod
    def of(cls, model: LayeredModel, pairs: PromptPairs) -> CorruptedOutputs:
        """Run the corrupted prompts of `pairs`, all at once: a batch that fits into memory."""
        pairs = readable(model.bridge, pairs)
        with torch.no_grad():
            return cls._projected(model, tuple(head_outputs(model, pairs.corrupted)))

    @classmethod
    def known(cls, paired: PairedActivations) -> CorruptedOutputs:
        """Those of prompts that were run already."""
        with torch.no_grad():
            return cls._projected(paired.model, paired.corrupted_z)

    @classmethod
    def _projected(
        cls, model: LayeredModel, z: tuple[Float[Tensor, "prompt pos head d_head"], ...]
    ) -> CorruptedOutputs:
        outputs = [layer.output(own) for layer, own in zip(model.layers, z, strict=True)]
        return cls(z, tuple(outputs))

    def on(self, pairs: PromptPairs) -> OutputsOnPrompts:
        """On the pairs that these outputs are of, all of them."""
        return OutputsOnPrompts(
            (pairs.clean != pairs.corrupted).cumsum(-1) > 0,
            lambda layer: Replacements(self.z[layer], self.outputs[layer]),
        )


@dataclass(frozen=True, eq=False)
class ZeroOutputs:
    """No head output at all (zero ablation): what is left of attention is its output bias.

    >>> bool(ZeroOutputs(layered).on(pairs).of_layer(2).z.any())
    False
    """

    model: LayeredModel

    def on(self, pairs: PromptPairs) -> OutputsOnPrompts:
        """Zeros for each of `pairs`, everywhere."""

        def of_layer(layer: int) -> Replacements:
            output = self.model.layers[layer].output
            n_heads, d_head, _ = output.weight.shape
            z = output.weight.new_zeros(*pairs.clean.shape, n_heads, d_head)
            return Replacements(z, output(z))

        return OutputsOnPrompts(torch.ones_like(pairs.clean, dtype=torch.bool), of_layer)


def _corrupted_z(
    model: LayeredModel,
    pairs: PromptPairs,
    known: Activations | None,
    together: int,
    progress: Progress,
) -> Iterator[tuple[Int[Tensor, " prompt"], list[Float[Tensor, "prompt pos head d_head"]]]]:
    """Head outputs of every layer on the corrupted prompts, and which prompts they are."""
    n_known = 0 if known is None else len(known.pairs)
    for batch in () if known is None else known.batches:
        yield batch.prompts, list(batch.paired.corrupted_z)
    ends = pairs.end[n_known:].cpu()
    # Of one length, so that nothing behind an answer is run.
    of_length = [n_known + (ends == end).nonzero()[:, 0] for end in ends.unique()]
    parts = [rows for same in of_length for rows in same.split(together)]
    for rows, _ in progress.each(parts, map(len, parts)):
        yield rows, list(head_outputs(model, trim(pairs[rows]).corrupted))


def _opening(tokens: Int[Tensor, "prompt pos"]) -> Int[Tensor, " pos"]:
    """The tokens that all prompts begin with; -1 from where they differ."""
    differ = (tokens != tokens[:1]).any(0).cumsum(0) > 0
    return tokens[0].masked_fill(differ, -1)
