"""Controls: models and prompts in which there is no circuit to find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import torch
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformers import AutoConfig, AutoModelForCausalLM

from circuits.model import load_tokenizer
from circuits.model.catalogue import model_directory
from circuits.model.tokenizers import remember_tokenizer
from circuits.tasks import PromptPair, PromptPairs, Task, Tokenizer, Words
from circuits.tasks.text import NO_ANSWER


class Control(Task):
    """A task with its prompt pairs changed after they were drawn."""

    name = "control"
    description = "Another task, with what could be found in it taken out."

    def __init__(self, task: Task, change: Callable[[PromptPairs], PromptPairs]) -> None:
        self.task, self.change = task, change

    def draw(self, rng: Random, variant: int, words: Words) -> PromptPair:
        """Draw a pair of the task itself."""
        return self.task.draw(rng, variant, words)

    def sample(
        self, tokenizer: Tokenizer, n: int = 64, seed: int = 0, n_templates: int | None = None
    ) -> PromptPairs:
        """Sample the task's pairs, changed."""
        return self.change(self.task.sample(tokenizer, n, seed, n_templates))


def with_equal_prompts(pairs: PromptPairs) -> PromptPairs:
    """The same pairs with nothing corrupted."""
    return replace(pairs, corrupted=pairs.clean, corrupted_text=pairs.clean_text)


def with_shuffled_answers(pairs: PromptPairs) -> PromptPairs:
    """The same pairs, with correct and wrong answers swapped where a coin says so.

    Under this the null hypothesis of a sign-flip test holds exactly.
    """
    draw = torch.Generator().manual_seed(pairs.seed)
    coins = torch.randint(2, (len(pairs), 1), generator=draw).bool()
    width = max(pairs.correct.shape[1], pairs.wrong.shape[1])
    correct, wrong = (
        torch.nn.functional.pad(answers, (0, width - answers.shape[1]), value=NO_ANSWER)
        for answers in (pairs.correct, pairs.wrong)
    )
    return replace(
        pairs,
        correct=torch.where(coins, wrong, correct),
        wrong=torch.where(coins, correct, wrong),
    )


def random_twin(name: str, seed: int) -> TransformerBridge:
    """A model of the same architecture and tokenizer, its weights drawn anew."""
    config = AutoConfig.from_pretrained(model_directory(name))
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(
        config, attn_implementation="eager", dtype=torch.float32
    )
    bridge = build_bridge_from_module(
        model.eval().requires_grad_(False),
        type(model).__name__,
        hf_config=model.config,
        model_name=f"random {name}, seed {seed}",
    )
    remember_tokenizer(bridge, load_tokenizer(name))
    return bridge
