"""Where heads look in text that is repeated: at the token before, at itself, or behind itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange, reduce
from jaxtyping import Float, Int
from torch import Tensor

from circuits.errors import InputError, ModelError
from circuits.forward import LayeredModel, patterns_by_layer
from circuits.forward.extraction import vocabulary_of
from circuits.model import tokenizer_of
from circuits.tasks.tokenization import token_ids

_N_TOKENS = 25


@dataclass(frozen=True, eq=False)
class RepeatScores:
    """The share of its attention that each head gives, on average, in repeated random tokens.

    The last is the prefix matching score of Olsson et al. 2022 ("In-context Learning and Induction
    Heads"); Wang et al. 2022 (arXiv 2211.00593) check the heads of IOI by all three.

    Attributes:
        previous_token: From every token to the one before it.
        duplicate_token: From every token of the second half to the same token in the first.
        induction: From every token of the second half to the one behind the same token in the
            first: the token that followed it last time.

    >>> repeat_scores(layered).induction.shape
    torch.Size([3, 4])
    """

    previous_token: Float[Tensor, "layer head"]
    duplicate_token: Float[Tensor, "layer head"]
    induction: Float[Tensor, "layer head"]


@dataclass(frozen=True, eq=False)
class RepeatedTokens:
    """Random tokens twice over, behind the token, if any, that begins all text.

    Attributes:
        tokens: Token ids of whole sequences.
        first: Where the random tokens begin.
        n_tokens: How many they are before they are repeated.

    """

    tokens: Int[Tensor, "prompt pos"]
    first: int
    n_tokens: int

    @classmethod
    def draw(
        cls, model: LayeredModel, n_prompts: int, n_tokens: int | None, seed: int
    ) -> RepeatedTokens:
        """Tokens that the model's tokenizer has, but no special ones."""
        ordinary, begin = _vocabulary(model)
        most = (model.bridge.cfg.n_ctx - len(begin)) // 2
        n_tokens = min(_N_TOKENS, most) if n_tokens is None else n_tokens
        if n_prompts < 1 or not 2 <= n_tokens <= most:
            raise InputError(
                f"repeated text needs at least 1 prompt of 2 to {most} tokens, which the model "
                f"reads twice; got {n_prompts} of {n_tokens}"
            )
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randint(len(ordinary), (n_prompts, n_tokens), generator=generator)
        drawn = ordinary[chosen]
        before = torch.tensor(begin, dtype=torch.long).expand(n_prompts, -1)
        tokens = torch.cat([before, drawn, drawn], dim=1).to(model.device)
        return cls(tokens, len(begin), n_tokens)


def repeat_scores(
    model: LayeredModel, n_prompts: int = 8, n_tokens: int | None = None, seed: int = 0
) -> RepeatScores:
    """Run `n_prompts` sequences of `n_tokens` random tokens, each twice over.

    Args:
        model: The pieces of a model.
        n_prompts: Sequences to run.
        n_tokens: Random tokens of each; without, 25, or as many as the model reads twice.
        seed: Seed of the tokens.

    Raises:
        InputError: There are fewer than one prompt or two tokens, or the model cannot read so many.

    >>> from circuits.truth import load_truth
    >>> truth = load_truth("hand-induction")
    >>> scores = repeat_scores(LayeredModel.of(truth.model))
    >>> layer, head = divmod(int(scores.induction.argmax()), truth.circuit.n_heads)
    >>> print(Head(layer, head))  # the induction head, by construction
    1.6
    """
    repeated = RepeatedTokens.draw(model, n_prompts, n_tokens, seed)
    begin, n_tokens = repeated.first, repeated.n_tokens
    with torch.no_grad():
        layers = [
            _repeat_attention(patterns[:, :, begin:, begin:], n_tokens).to(model.device)
            for patterns in patterns_by_layer(model, repeated.tokens)
        ]
    by_score = rearrange(torch.stack(layers), "layer score head -> score layer head")
    return RepeatScores(*by_score.float().cpu())


def _repeat_attention(
    patterns: Float[Tensor, "prompt head query key"], n_tokens: int
) -> Float[Tensor, "score head"]:
    """Mean attention to the token before, to the same one earlier, and to what followed that."""
    second_half = patterns[:, :, n_tokens:]
    looks = [
        patterns[:, :, 1:].diagonal(0, dim1=-2, dim2=-1),
        second_half.diagonal(0, dim1=-2, dim2=-1),
        second_half.diagonal(1, dim1=-2, dim2=-1),
    ]
    return torch.stack([reduce(look, "prompt head query -> head", "mean") for look in looks])


def _vocabulary(model: LayeredModel) -> tuple[Int[Tensor, " token"], list[int]]:
    """All tokens but special ones, and the token, if any, that the tokenizer puts before text."""
    ids = torch.arange(vocabulary_of(model.bridge)[0])
    try:
        tokenizer = tokenizer_of(model.bridge)
    except ModelError:
        return ids, []
    ids = ids[: len(tokenizer)]
    special = torch.tensor(tokenizer.all_special_ids, dtype=torch.long)
    begins = [token for token in token_ids(tokenizer, "a")[:1] if token == tokenizer.bos_token_id]
    return ids[~torch.isin(ids, special)], begins
