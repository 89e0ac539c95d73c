"""Where heads look on a prompt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from circuits.components import Head
from circuits.errors import MismatchError
from circuits.forward import LayeredModel, patterns_by_layer
from circuits.forward.prompts import check_prompt
from circuits.model.tokenizers import tokenizer_of
from circuits.tasks.tokenization import token_ids


@dataclass(frozen=True, eq=False)
class AttentionPattern:
    """Where one head looks on one prompt.

    Attributes:
        head: The head.
        tokens: The prompt's tokens as text.
        weights: How much each token (query) takes from each one up to it (key); rows sum to 1, and
            to less where the head has an attention sink.

    >>> (pattern,) = attention_patterns(model, "w1 w2 w3", ["1.2"])
    >>> pattern.tokens, pattern.weights[0]  # the first token sees itself alone
    (('w1', 'w2', 'w3'), tensor([1., 0., 0.]))
    """

    head: Head
    tokens: tuple[str, ...]
    weights: Float[Tensor, "query key"]


def attention_patterns(
    bridge: TransformerBridge, prompt: str, heads: Iterable[Head | str]
) -> tuple[AttentionPattern, ...]:
    """Run a prompt, as far up as needed, and return the attention pattern of each head.

    Args:
        bridge: From `load_model`, or your own.
        prompt: Text; tokenized as tasks are.
        heads: Query heads, or their names ("9.6").

    Raises:
        MismatchError: The model has no such head, or the prompt has no tokens.
        TaskError: The prompt is longer than the model can read, or has a token that it does not
            know.
        ModelError: The model has no tokenizer.
        UnsupportedModelError: The model's blocks cannot be taken apart.

    >>> patterns = attention_patterns(model, "w1 w2 w3", ["0.1", "2.3"])
    >>> [(str(pattern.head), pattern.weights.shape) for pattern in patterns]
    [('0.1', torch.Size([3, 3])), ('2.3', torch.Size([3, 3]))]
    """
    model = LayeredModel.of(bridge)
    wanted = [Head.parse(head) for head in heads]
    for head in wanted:
        if head.layer >= model.n_layers or head.index >= model.n_heads:
            raise MismatchError(
                f"no head {head} in a model of {model.n_layers} layers x {model.n_heads} heads"
            )
    tokenizer = tokenizer_of(bridge)
    ids = token_ids(tokenizer, prompt)
    if not ids:
        raise MismatchError(f"the prompt {prompt!r} has no tokens")
    check_prompt(bridge, prompt, ids)
    tokens = tuple(str(tokenizer.decode([token])) for token in ids)
    found = _weights(model, torch.tensor([ids], device=model.device), wanted)
    return tuple(AttentionPattern(head, tokens, found[head]) for head in wanted)


def _weights(
    model: LayeredModel, ids: Int[Tensor, "1 pos"], heads: list[Head]
) -> dict[Head, Float[Tensor, "query key"]]:
    found: dict[Head, Tensor] = {}
    n_layers = max((head.layer + 1 for head in heads), default=0)
    with torch.no_grad():
        for number, patterns in zip(range(n_layers), patterns_by_layer(model, ids), strict=False):
            here = {head for head in heads if head.layer == number}
            found |= {head: patterns[0, head.index].float().cpu() for head in here}
    return found
