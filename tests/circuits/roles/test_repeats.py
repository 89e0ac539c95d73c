"""Scores on repeated tokens, against hooks and against heads made for the purpose."""

from __future__ import annotations

import pytest
from tokenizers.processors import TemplateProcessing

from circuits import Head
from circuits.errors import InputError
from circuits.forward import LayeredModel
from circuits.model.tokenizers import remember_tokenizer
from circuits.roles import repeat_scores
from circuits.roles.repeats import RepeatedTokens
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES, tiny_model
from tests.circuits.prompts import word_tokenizer
from tests.circuits.roles.slow_twin import attention

N_PROMPTS, N_TOKENS = 2, 5


def mean(numbers) -> float:
    numbers = list(numbers)
    return sum(numbers) / len(numbers)


@pytest.mark.parametrize("family", FAMILIES)
def test_token_by_token(family):
    bridge = shared_model(family)
    model = LayeredModel.of(bridge)
    found = repeat_scores(model, N_PROMPTS, N_TOKENS, seed=3)
    tokens = RepeatedTokens.draw(model, N_PROMPTS, N_TOKENS, seed=3).tokens
    later = range(N_TOKENS, 2 * N_TOKENS)
    for head in (Head(0, 1), Head(1, 2), Head(2, 3)):
        patterns = [attention(bridge, row, head) for row in tokens]
        theirs = {
            "previous_token": mean(p[i][i - 1] for p in patterns for i in range(1, 2 * N_TOKENS)),
            "duplicate_token": mean(p[i][i - N_TOKENS] for p in patterns for i in later),
            "induction": mean(p[i][i - N_TOKENS + 1] for p in patterns for i in later),
        }
        for name, score in theirs.items():
            ours = getattr(found, name)[head.layer, head.index].item()
            assert ours == pytest.approx(score, abs=1e-5)


class TestDraw:
    def test_the_second_half_is_the_first(self, llama):
        drawn = RepeatedTokens.draw(LayeredModel.of(llama), 3, 7, seed=0)
        assert drawn.tokens.shape == (3, 14)
        assert drawn.first == 0
        assert drawn.tokens[:, :7].equal(drawn.tokens[:, 7:])
        assert not drawn.tokens[0].equal(drawn.tokens[1])

    def test_seeds(self, llama):
        model = LayeredModel.of(llama)
        once, again, other = (RepeatedTokens.draw(model, 2, 7, seed) for seed in (4, 4, 5))
        assert once.tokens.equal(again.tokens)
        assert not once.tokens.equal(other.tokens)

    def test_as_many_as_the_model_reads_but_no_more_than_needed(self, llama):
        assert RepeatedTokens.draw(LayeredModel.of(llama), 1, None, seed=0).n_tokens == 25

    @pytest.mark.parametrize(("n_prompts", "n_tokens"), [(0, 5), (1, 1), (1, 33)])
    def test_what_cannot_be_drawn_is_refused(self, llama, n_prompts, n_tokens):
        with pytest.raises(InputError, match=f"2 to 32 tokens.* got {n_prompts} of {n_tokens}"):
            RepeatedTokens.draw(LayeredModel.of(llama), n_prompts, n_tokens, seed=0)

    def test_a_token_that_begins_all_text_begins_these_and_is_nowhere_else(self):
        bridge, tokenizer = tiny_model("gpt2"), word_tokenizer()
        tokenizer.add_special_tokens({"bos_token": "w7"})
        remember_tokenizer(bridge, tokenizer)
        model = LayeredModel.of(bridge)
        plain = RepeatedTokens.draw(model, 40, 25, seed=0)
        assert plain.first == 0
        assert not bool((plain.tokens == 7).any())
        begin = TemplateProcessing(single="w7 $A", special_tokens=[("w7", 7)])
        tokenizer.backend_tokenizer.post_processor = begin
        begun = RepeatedTokens.draw(model, 40, 25, seed=0)
        assert begun.first == 1
        assert begun.tokens[:, 0].tolist() == [7] * 40
        assert begun.tokens[:, 1:].equal(plain.tokens)
        assert repeat_scores(model).induction.shape == (3, 4)
