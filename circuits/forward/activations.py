"""The prompts of a discovery: run once clean, once corrupted, and once backward."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuits.forward.finite import check_finite
from circuits.forward.gradients import metric_gradients
from circuits.forward.model import LayeredModel, TransformerBridge
from circuits.forward.passes import PairedActivations
from circuits.forward.positions import ActivePositions
from circuits.forward.prompts import check_any, readable
from circuits.graph import Mlps, ModelGraph
from circuits.metrics import Metric, logit_diff
from circuits.runtime.shrinking import Shrinking
from circuits.tasks import PromptPairs

PROMPTS_TOGETHER = 32
_TOGETHER = Shrinking("prompts")


@dataclass(frozen=True, eq=False)
class Batch:
    """Some of the prompts: which of all they are, what was computed on them, and gradients.

    Attributes:
        prompts: Their places among all prompts.
        paired: Clean and corrupted activations.
        part_of: The batch that it was split off, and its rows there.

    >>> (batch,) = activations.batches
    >>> batch.prompts.tolist(), len(batch.tokens)  # short prompts first; tokens that can change
    ([0, 2, 1, 3], 24)
    >>> [gradient.shape for gradient in batch.gradients][-1]  # in the last layer at answers alone
    torch.Size([4, 4, 8])
    """

    prompts: Int[Tensor, " prompt"]
    paired: PairedActivations
    part_of: tuple[Batch, Int[Tensor, " prompt"]] | None = None

    @property
    def pairs(self) -> PromptPairs:
        """The prompts themselves."""
        return self.paired.pairs

    @cached_property
    def tokens(self) -> ActivePositions:
        """Every token that a corruption can change, up to the answer."""
        return ActivePositions.between_difference_and_end(self.pairs)

    @cached_property
    def gradients(self) -> tuple[Float[Tensor, "read_token head d_head"], ...]:
        """Of each prompt's metric by every layer's head outputs, on the clean prompts."""
        # Of the whole even where only this part is left to do: a run that was interrupted then
        # ends with the same numbers to the last bit.
        if self.part_of is None:
            return _TOGETHER.run(len(self.prompts), self._gradients_in_parts)
        whole, rows = self.part_of
        rows = rows.to(whole.tokens.prompt.device)
        *below, last = whole.gradients
        tokens = torch.isin(whole.tokens.prompt, rows)
        return (*(gradient[tokens] for gradient in below), last[rows])

    def _gradients_in_parts(self, size: int) -> tuple[Float[Tensor, "read_token head d_head"], ...]:
        parts = [metric_gradients(part.paired, part.tokens) for part in self.split(size)]
        return tuple(torch.cat(of_layer) for of_layer in zip(*parts, strict=True))

    def split(self, size: int) -> Iterator[Batch]:
        """Parts of at most so many prompts, which share what was run."""
        if size >= len(self.prompts):
            yield self
            return
        for rows in torch.arange(len(self.prompts)).split(size):
            yield Batch(self.prompts[rows], self.paired.select(rows), (self, rows))


class Activations:
    """What every stage of a discovery reads of its prompts; nothing is run before it is asked for.

    Raises:
        NonFiniteError: The metric of a prompt is NaN or infinite; raised when it is asked for.

    >>> activations = Activations(model, pairs)
    >>> bool((activations.clean_metric > activations.corrupted_metric).all())
    True
    """

    def __init__(
        self,
        model: TransformerBridge | LayeredModel,
        pairs: PromptPairs,
        metric: Metric = logit_diff,
    ) -> None:
        """Of some prompts, and the metric that their effects are measured by.

        Raises:
            InputError: There is no prompt.

        """
        check_any(pairs)
        self.model, self.pairs, self.metric = LayeredModel.of(model), pairs, metric

    @cached_property
    def batches(self) -> tuple[Batch, ...]:
        """All prompts, a few at a time, short ones first."""
        order = torch.argsort(self.pairs.end.cpu(), stable=True)

        def run(size: int) -> tuple[Batch, ...]:
            return tuple(
                Batch(rows, PairedActivations.of(self.model, self.pairs[rows], self.metric))
                for rows in order.split(size)
            )

        found = _TOGETHER.run(PROMPTS_TOGETHER, run)
        both = torch.stack([_in_order(found, "clean"), _in_order(found, "corrupted")])
        pairs = readable(self.model.bridge, self.pairs)
        check_finite(self.model.bridge, "the metric", both, [pairs.clean, pairs.corrupted])
        return found

    def split(self, size: int) -> Iterator[Batch]:
        """All prompts, at most so many at a time; what was run of them is not run again."""
        for batch in self.batches:
            yield from batch.split(size)

    @cached_property
    def clean_metric(self) -> Float[Tensor, " prompt"]:
        """The metric of each clean prompt."""
        return _in_order(self.batches, "clean")

    @cached_property
    def corrupted_metric(self) -> Float[Tensor, " prompt"]:
        """The metric of each corrupted prompt, with the answers of the clean one."""
        return _in_order(self.batches, "corrupted")

    def graph(self, mlps: Mlps = "path") -> ModelGraph:
        """The model's nodes and edges; where MLPs are nodes, by the spans that prompts have."""
        return self.model.graph(mlps, self.pairs.spans if mlps == "nodes" else None)


def _in_order(
    batches: tuple[Batch, ...], kind: Literal["clean", "corrupted"]
) -> Float[Tensor, " prompt"]:
    """The metric of clean or of corrupted prompts, in the order of the prompts."""
    prompts = torch.cat([batch.prompts for batch in batches])
    found = torch.cat([getattr(batch.paired, f"{kind}_metric") for batch in batches]).cpu()
    return torch.empty_like(found).index_copy(0, prompts, found)
