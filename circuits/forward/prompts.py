"""Prompts as a model can read them: checked against its vocabulary and its longest prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from transformer_lens.model_bridge import TransformerBridge

from circuits.errors import InputError, TaskError, quoted
from circuits.forward.extraction import vocabulary_of
from circuits.tasks import PromptPairs
from circuits.tasks.tokenization import unknown_token


def readable(bridge: TransformerBridge, pairs: PromptPairs) -> PromptPairs:
    """Pairs on a model's device, without columns behind the last answer.

    What stands behind a prompt's answer is never read, so that padding needs no token of its own:
    where the model has none of that number, another stands in for it.

    Raises:
        InputError: There is no pair.
        TaskError: A prompt is longer than the model can read, or a token of a prompt or an answer
            is none of the model's.

    """
    check_any(pairs)
    pairs = trim(pairs.to(next(bridge.parameters()).device))
    n_tokens, n_logits = vocabulary_of(bridge)
    is_read = torch.arange(pairs.clean.shape[1], device=pairs.end.device) <= pairs.end[:, None]
    known = {}
    for name, texts in (("clean", pairs.clean_text), ("corrupted", pairs.corrupted_text)):
        tokens = getattr(pairs, name)
        unknown = (tokens < 0) | (tokens >= n_tokens)
        for row in ((unknown & is_read).any(1) | (pairs.end >= bridge.cfg.n_ctx)).nonzero()[:1, 0]:
            check_prompt(bridge, texts[row], tokens[row, is_read[row]].tolist())
        known[name] = tokens.masked_fill(unknown, 0)
    for name in ("correct", "wrong"):
        answers = getattr(pairs, name)
        for row, column in (answers >= n_logits).nonzero()[:1].tolist():
            raise TaskError(
                f"a {name} answer to {quoted(pairs.clean_text[row])} is "
                f"{unknown_token(int(answers[row, column]), n_logits)}"
            )
    return replace(pairs, **known)


def check_any(pairs: PromptPairs) -> None:
    """Raise InputError where there is no pair."""
    if not len(pairs):
        raise InputError("a model is run on at least one prompt pair, got none")


def trim(pairs: PromptPairs) -> PromptPairs:
    """Drop the columns behind the last answer position: causal attention never sees them."""
    length = int(pairs.end.max()) + 1
    kept = {"clean": pairs.clean, "corrupted": pairs.corrupted, "span": pairs.span}
    return replace(
        pairs, **{name: None if each is None else each[:, :length] for name, each in kept.items()}
    )


def check_prompt(bridge: TransformerBridge, text: str, tokens: Sequence[int]) -> None:
    """Raise TaskError where a model cannot read a prompt: its length, or one of its tokens."""
    most, n_tokens = bridge.cfg.n_ctx, vocabulary_of(bridge)[0]
    if len(tokens) > most:
        raise TaskError(
            f"a prompt of {len(tokens):,} tokens is longer than the {most:,} that the model reads: "
            f"{quoted(text)}; shorten it, or take it out"
        )
    for token in tokens:
        if not 0 <= token < n_tokens:
            raise TaskError(f"the prompt {quoted(text)} has {unknown_token(token, n_tokens)}")
