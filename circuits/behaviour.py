"""How well a model does a task, by its own forward pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuits.metrics import Metric, accuracy, logit_diff, top_1
from circuits.model import TransformerBridge
from circuits.model.runs import at_end, trim
from tasks import PromptPairs

LOWEST_ACCURACY = 0.6


class WeakTaskWarning(UserWarning):
    """The model does not do the task: a circuit found on it means little."""


@dataclass(frozen=True)
class Behaviour:
    """A model's answers to the prompts of a task.

    Attributes:
        n_prompts: Number of prompt pairs.
        accuracy: Share of clean prompts whose likeliest answer, of the correct and wrong ones, is
            correct.
        top_1: Share of clean prompts whose likeliest token of all is a correct answer.
        clean_metric: Mean metric on the clean prompts.
        corrupted_metric: Mean metric on the corrupted prompts.

    """

    n_prompts: int
    accuracy: float
    top_1: float
    clean_metric: float
    corrupted_metric: float

    @property
    def weakness(self) -> str | None:
        """Why a circuit found on these prompts would mean little; None where the task is done."""
        if not self.clean_metric > self.corrupted_metric:
            return (
                f"the metric on clean prompts ({self.clean_metric:.2f}) is not above that on "
                f"corrupted ones ({self.corrupted_metric:.2f})"
            )
        if self.accuracy < LOWEST_ACCURACY:
            return (
                f"the model answers {self.accuracy:.0%} of the prompts right "
                f"(under {LOWEST_ACCURACY:.0%})"
            )
        return None


def measure_behaviour(
    model: TransformerBridge,
    pairs: PromptPairs,
    metric: Metric = logit_diff,
    batch: int = 32,
    progress: Callable[[float], None] = lambda fraction: None,
) -> Behaviour:
    """Run both prompts of every pair through the model itself, a few pairs at a time."""
    device = next(model.parameters()).device
    rows = torch.arange(len(pairs)).split(batch)
    parts = [trim(pairs[index].to(device)) for index in rows]
    clean, corrupted = [], []
    for part in parts:
        clean.append(answer_logits(model, part.clean, part))
        corrupted.append(answer_logits(model, part.corrupted, part))
        progress(len(clean) / len(parts))

    def mean(values: list[Tensor]) -> float:
        return float(torch.cat(values).double().mean())

    return Behaviour(
        n_prompts=len(pairs),
        accuracy=mean([accuracy(*both) for both in zip(clean, parts, strict=True)]),
        top_1=mean([top_1(*both) for both in zip(clean, parts, strict=True)]),
        clean_metric=mean([metric(*both) for both in zip(clean, parts, strict=True)]),
        corrupted_metric=mean([metric(*both) for both in zip(corrupted, parts, strict=True)]),
    )


def answer_logits(
    model: TransformerBridge, tokens: Int[Tensor, "prompt pos"], pairs: PromptPairs
) -> Float[Tensor, "prompt vocab"]:
    """The model's own logits where the answers are read."""
    with torch.no_grad():
        return at_end(model(tokens), pairs)
