"""Everything that names of heads are given by, measured in one call."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.errors import InputError
from circuits.forward import LayeredModel, TransformerBridge, in_float32
from circuits.roles.answers import AnswerAttention, DirectEffects, read_answers
from circuits.roles.repeats import RepeatScores, repeat_scores
from circuits.tasks import PromptPairs


@dataclass(frozen=True, eq=False)
class HeadReading:
    """What every head of a model looks at and writes.

    Attributes:
        repeats: Attention in repeated random tokens.
        attention: Attention from the last token of the clean prompts to answers in them.
        direct: Direct logit attribution on the clean prompts, in logits.

    >>> reading = read_heads(model, pairs)
    >>> list(reading.measures())[:3], reading.direct_share().shape
    (['previous_token', 'duplicate_token', 'induction'], torch.Size([3, 4]))
    """

    repeats: RepeatScores
    attention: AnswerAttention
    direct: DirectEffects

    @property
    def shape(self) -> tuple[int, int]:
        """Layers, and heads in each."""
        n_layers, n_heads = self.repeats.induction.shape
        return n_layers, n_heads

    def direct_share(self) -> Float[Tensor, "layer head"]:
        """The share of the mean logit difference that each head writes by itself.

        NaN where the model's mean logit difference is not above 0: there is nothing to share.
        """
        whole = self.direct.logit_diff.mean()
        share = self.direct.heads.mean(0) / whole
        return share if whole > 0 else torch.full_like(share, torch.nan)

    def measures(self) -> dict[str, Float[Tensor, "layer head"]]:
        """Every measure by its name, attention and the direct effect as shares."""
        return {
            "previous_token": self.repeats.previous_token,
            "duplicate_token": self.repeats.duplicate_token,
            "induction": self.repeats.induction,
            "to_correct": self.attention.correct,
            "to_wrong": self.attention.wrong,
            "direct": self.direct_share(),
        }


def read_heads(
    model: TransformerBridge, pairs: PromptPairs, *, n_repeats: int = 8, seed: int = 0
) -> HeadReading:
    """Measure what every head looks at and writes: two forward passes.

    Args:
        model: From `load_model`, or your own.
        pairs: Prompts of a task; only the clean ones are read.
        n_repeats: Sequences of repeated random tokens to run.
        seed: Seed of these.

    Raises:
        InputError: There is no prompt, or no sequence.
        UnsupportedModelError: The model's blocks or norms cannot be taken apart.

    >>> read_heads(model, pairs).attention.correct.shape
    torch.Size([3, 4])
    """
    if not len(pairs):
        raise InputError("reading heads needs at least one prompt, got none")
    layered = in_float32(LayeredModel.of(model))
    repeats = repeat_scores(layered, n_prompts=n_repeats, seed=seed)
    return HeadReading(repeats, *read_answers(layered, pairs))
