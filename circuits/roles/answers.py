"""What heads do where the answer is read: look at the answers in the prompt, and write the logits.

The direct effect is direct logit attribution (Elhage et al. 2021, "A Mathematical Framework for
Transformer Circuits"; Wang et al. 2022, arXiv 2211.00593, section 3.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from einops import einsum, rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from circuits.forward import Layer, LayeredModel
from circuits.forward.finite import check_finite
from circuits.forward.norms import HeldNorm
from circuits.forward.passes import LayerActivations, at_end, run_layers
from circuits.forward.prompts import readable
from circuits.metrics import logit_diff
from circuits.runtime.shrinking import Shrinking
from circuits.tasks import PromptPairs

_PROMPTS_AT_ONCE = 32
_TOGETHER = Shrinking("prompts")


@dataclass(frozen=True, eq=False)
class AnswerAttention:
    """How much each head attends, on average, from where the answer is read to the answers.

    Shares of a head's attention, 0 to 1, averaged over the clean prompts that hold such a token;
    NaN for all heads where no prompt does.

    Attributes:
        correct: To tokens of the prompt that are correct answers.
        wrong: To tokens of the prompt that are wrong answers.

    >>> attention, _ = read_answers(layered, pairs)
    >>> attention.correct.shape
    torch.Size([3, 4])
    """

    correct: Float[Tensor, "layer head"]
    wrong: Float[Tensor, "layer head"]


@dataclass(frozen=True, eq=False)
class DirectEffects:
    """What each head writes into the logits by itself, in logits.

    Attributes:
        heads: What it adds to the mean logit of the correct answers minus that of the wrong ones,
            when nothing above reads its output at the last token.
        logit_diff: That difference, of which the heads' are parts: the rest is embeddings', MLPs'
            and biases'.

    >>> _, direct = read_answers(layered, pairs)
    >>> direct.heads.shape, direct.logit_diff.shape
    (torch.Size([4, 3, 4]), torch.Size([4]))
    """

    heads: Float[Tensor, "prompt layer head"]
    logit_diff: Float[Tensor, " prompt"]


def read_answers(model: LayeredModel, pairs: PromptPairs) -> tuple[AnswerAttention, DirectEffects]:
    """Run each clean prompt once; see how heads attend to the answers, and what they write.

    The logit difference is attributed before a soft cap. Heads write through the final norm, whose
    scale is held at what it is on the whole stream.

    Raises:
        UnsupportedModelError: A norm on the way is neither a layer norm nor an RMS norm.
        NonFiniteError: What a head writes is NaN or infinite on some prompts.

    >>> attention, direct = read_answers(layered, pairs)
    >>> bool((direct.logit_diff > 0).all())  # the model does the task
    True
    """

    def run(size: int) -> list[Tensor]:
        parts = [_read(model, part) for part in _batches(model, pairs, size)]
        return [torch.cat(each).float().cpu() for each in zip(*parts, strict=True)]

    correct, wrong, heads, difference = _TOGETHER.run(_PROMPTS_AT_ONCE, run)
    return AnswerAttention(correct.mean(0), wrong.mean(0)), DirectEffects(heads, difference)


def _batches(model: LayeredModel, pairs: PromptPairs, size: int) -> Iterator[PromptPairs]:
    for rows in torch.arange(len(pairs)).split(size):
        yield readable(model.bridge, pairs[rows])


def _read(model: LayeredModel, pairs: PromptPairs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Attention to correct and to wrong answers, direct effects and the logit difference."""
    with torch.no_grad():
        runs, final = run_layers(model, pairs.clean, pairs)
        last = torch.stack(
            [
                _last_row(layer, run, pairs).to(model.device)
                for layer, run in zip(model.layers, runs, strict=True)
            ]
        )
        attention = [_to_answers(last, pairs, each) for each in (pairs.correct, pairs.wrong)]
    heads, difference = _direct(model, runs, final, pairs)
    numbers = rearrange(heads, "prompt layer head -> (layer head) prompt")
    check_finite(model.bridge, "what a head writes", numbers, [pairs.clean])
    return attention[0], attention[1], heads, difference


def _last_row(
    layer: Layer, run: LayerActivations, pairs: PromptPairs
) -> Float[Tensor, "prompt head key"]:
    """Attention of the token where the answer is read."""
    queries = rearrange(at_end(run.queries, pairs), "prompt head d -> prompt 1 head d")
    end = rearrange(pairs.end, "prompt -> prompt 1")
    pattern = layer.pattern(queries, run.keys, layer.allowed(end, run.keys.shape[1]))
    return rearrange(pattern, "prompt kv_head group 1 key -> prompt (kv_head group) key")


def _to_answers(
    last: Float[Tensor, "layer prompt head key"],
    pairs: PromptPairs,
    answers: Int[Tensor, "prompt answer"],
) -> Float[Tensor, "answered layer head"]:
    """Attention to answers, on the prompts that hold one."""
    is_answer = _occurrences(pairs, answers)
    seen = einsum(last, is_answer.to(last.dtype), "layer p head key, p key -> p layer head")
    return seen[is_answer.any(-1)]


def _occurrences(
    pairs: PromptPairs, answers: Int[Tensor, "prompt answer"]
) -> Bool[Tensor, "prompt key"]:
    """Which tokens of the clean prompts, up to where the answer is read, are among the answers."""
    positions = torch.arange(pairs.clean.shape[1], device=pairs.clean.device)
    within = positions <= rearrange(pairs.end, "prompt -> prompt 1")
    tokens = rearrange(pairs.clean, "prompt key -> prompt key 1")
    same = tokens == rearrange(answers, "prompt answer -> prompt 1 answer")
    return same.any(-1) & within


def _direct(
    model: LayeredModel,
    runs: tuple[LayerActivations, ...],
    final: Float[Tensor, "prompt d_model"],
    pairs: PromptPairs,
) -> tuple[Float[Tensor, "prompt layer head"], Float[Tensor, " prompt"]]:
    with torch.no_grad():
        normed = model.norm_final(final)
        norm = HeldNorm.at(model.norm_final, final.to(normed.device))
        layers = [
            _written(layer, run, pairs) for layer, run in zip(model.layers, runs, strict=True)
        ]
        written = torch.stack([norm(heads.to(normed.device)) for heads in layers])
    with torch.enable_grad():
        logits = model.unembed_weights(normed.requires_grad_())
        difference = logit_diff(logits.to(model.device), pairs)
        (direction,) = torch.autograd.grad(difference.sum(), normed)
    heads = einsum(written, direction, "layer head prompt d, prompt d -> prompt layer head")
    return heads.to(model.device), difference.detach()


def _written(
    layer: Layer, run: LayerActivations, pairs: PromptPairs
) -> Float[Tensor, "head prompt d_model"]:
    """What each head of a layer adds to the residual stream where the answer is read."""
    z = at_end(run.z, pairs)
    heads = layer.output.per_head(z, list(range(layer.n_heads)))
    if layer.norm_attention_output is None:
        return heads
    return HeldNorm.at(layer.norm_attention_output, layer.output(z))(heads)
