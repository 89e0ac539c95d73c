"""Task metrics: from the logits where the answer is read to one number per prompt."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from circuits.tasks import PromptPairs


def logit_diff(
    logits: Float[Tensor, "*batch prompt vocab"], pairs: PromptPairs
) -> Float[Tensor, "*batch prompt"]:
    """Mean logit of the correct answers minus mean logit of the wrong ones.

    Wang et al. 2022 (arXiv 2211.00593, section 2.1), extended to sets of answers. `logits` are
    those where the answers are read.

    >>> logits = model(pairs.clean)[torch.arange(len(pairs)), pairs.end]
    >>> logit_diff(logits, pairs).shape
    torch.Size([4])
    >>> logit_diff(torch.nn.functional.one_hot(pairs.correct[:, 0], 101).float(), pairs)
    tensor([1., 1., 1., 1.])
    """
    return _answer_mean(logits, pairs.correct) - _answer_mean(logits, pairs.wrong)


def prob_diff(
    logits: Float[Tensor, "*batch prompt vocab"], pairs: PromptPairs
) -> Float[Tensor, "*batch prompt"]:
    """Probability of the correct answers minus that of the wrong ones.

    Between -1 and 1. Hanna et al. 2023 (arXiv 2305.00586, section 2.1).

    >>> certain = 1000.0 * torch.nn.functional.one_hot(pairs.correct[:, 0], 101)
    >>> prob_diff(certain, pairs)
    tensor([1., 1., 1., 1.])
    """
    probabilities = logits.softmax(-1)
    return _answer_sum(probabilities, pairs.correct) - _answer_sum(probabilities, pairs.wrong)


def accuracy(logits: Float[Tensor, "prompt vocab"], pairs: PromptPairs) -> Bool[Tensor, " prompt"]:
    """Whether the likeliest of all correct and wrong answers is a correct one.

    >>> logits = model(pairs.clean)[torch.arange(len(pairs)), pairs.end]
    >>> accuracy(logits, pairs)
    tensor([True, True, True, True])
    """
    return _answer_max(logits, pairs.correct) > _answer_max(logits, pairs.wrong)


def top_1(logits: Float[Tensor, "prompt vocab"], pairs: PromptPairs) -> Bool[Tensor, " prompt"]:
    """Whether the likeliest token of the whole vocabulary is a correct answer.

    >>> top_1(torch.nn.functional.one_hot(pairs.correct[:, 0], 101).float(), pairs)
    tensor([True, True, True, True])
    """
    return (logits.argmax(-1, keepdim=True) == pairs.correct).any(-1)


def _gather(
    values: Float[Tensor, "*batch prompt vocab"], answers: Int[Tensor, "prompt answer"]
) -> tuple[Float[Tensor, "*batch prompt answer"], Bool[Tensor, "prompt answer"]]:
    index = answers.clamp(min=0).expand(*values.shape[:-1], -1)
    return values.gather(-1, index), answers >= 0


def _answer_sum(
    values: Float[Tensor, "*batch prompt vocab"], answers: Int[Tensor, "prompt answer"]
) -> Float[Tensor, "*batch prompt"]:
    gathered, present = _gather(values, answers)
    return gathered.where(present, 0.0).sum(-1)


def _answer_mean(
    values: Float[Tensor, "*batch prompt vocab"], answers: Int[Tensor, "prompt answer"]
) -> Float[Tensor, "*batch prompt"]:
    return _answer_sum(values, answers) / (answers >= 0).sum(-1)


def _answer_max(
    values: Float[Tensor, "prompt vocab"], answers: Int[Tensor, "prompt answer"]
) -> Float[Tensor, " prompt"]:
    gathered, present = _gather(values, answers)
    return gathered.where(present, -torch.inf).amax(-1)
