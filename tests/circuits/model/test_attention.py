"""Attention patterns against the bridge's own."""

from __future__ import annotations

import pytest
import torch

from circuits import Head
from circuits.components import all_heads
from circuits.errors import MismatchError, ModelError
from circuits.model import attention_patterns
from circuits.model.tokenizers import remember_tokenizer
from tests.circuits.families import FAMILIES, N_HEADS, N_LAYERS, tiny_model
from tests.circuits.prompts import word_tokenizer

PROMPT = "w5 w17 w5 w99 w3 w42 w8"
IDS = [5, 17, 5, 99, 3, 42, 8]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_head_of_every_family(family):
    bridge = tiny_model(family)
    remember_tokenizer(bridge, word_tokenizer())
    patterns = attention_patterns(bridge, PROMPT, all_heads(N_LAYERS, N_HEADS))
    with torch.no_grad():
        _, cache = bridge.run_with_cache(torch.tensor([IDS]))
    for pattern in patterns:
        theirs = cache[f"blocks.{pattern.head.layer}.attn.hook_pattern"][0, pattern.head.index]
        torch.testing.assert_close(pattern.weights, theirs, atol=1e-5, rtol=0)
        assert pattern.tokens == tuple(PROMPT.split())
    assert len({pattern.weights.numpy().tobytes() for pattern in patterns}) == N_LAYERS * N_HEADS


def test_names_of_heads_in_any_order(toy):
    bridge, _ = toy
    first, second = attention_patterns(bridge, PROMPT, ["2.1", Head(0, 3)])
    assert (first.head, second.head) == (Head(2, 1), Head(0, 3))
    torch.testing.assert_close(first.weights.sum(-1), torch.ones(len(IDS)))
    assert attention_patterns(bridge, PROMPT, []) == ()


def test_what_cannot_be_shown_is_refused(toy):
    bridge, _ = toy
    with pytest.raises(MismatchError, match=r"no head 3\.0 in a model of 3 layers x 4 heads"):
        attention_patterns(bridge, PROMPT, ["3.0"])
    with pytest.raises(MismatchError, match="has no tokens"):
        attention_patterns(bridge, "", ["0.0"])
    with pytest.raises(ModelError, match="no tokenizer"):
        attention_patterns(tiny_model("gpt2"), PROMPT, ["0.0"])
