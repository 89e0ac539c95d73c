"""Random prompt pairs of several lengths, and a task of single words for tiny models."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedTokenizerFast

from circuits.model import native
from circuits.tasks import PromptPair, PromptPairs, Task, Words
from circuits.tasks.text import joined
from tests.circuits.families import VOCABULARY

LENGTHS = (6, 8)


def ragged_pairs(n: int = 5, seed: int = 12, vocabulary: int = 101, width: int = 9) -> PromptPairs:
    """`n` pairs of lengths `width`, `width` - 1, `width` - 2 in turn; one template for each length.

    A pair differs first at position 1 to 3 and once more behind that. Padding is random and differs
    between the two prompts, and so do the sizes of the answer sets: neither may ever matter.
    """
    draw = torch.Generator().manual_seed(seed)
    row = torch.arange(n)
    end = width - 1 - row % 3
    first = 1 + row % 3
    clean, corrupted = torch.randint(vocabulary, (2, n, width), generator=draw)
    position = torch.arange(width)
    shared = (position < first[:, None]) | (position == first[:, None] + 1)
    corrupted = torch.where(shared, clean, corrupted)
    changed = (clean[row, first] + 1 + torch.randint(vocabulary - 1, (n,), generator=draw)) % (
        vocabulary
    )
    corrupted[row, first] = changed
    answers = torch.stack([torch.randperm(vocabulary, generator=draw)[:5] for _ in range(n)])
    correct, wrong = answers[:, :2].clone(), answers[:, 2:].clone()
    correct[::2, 1] = -1
    wrong[1::2, 2] = -1
    return PromptPairs(
        task="random",
        seed=seed,
        clean=clean,
        corrupted=corrupted,
        end=end,
        correct=correct,
        wrong=wrong,
        template=end * 10,
        clean_text=tuple(f"clean {i}" for i in range(n)),
        corrupted_text=tuple(f"corrupted {i}" for i in range(n)),
    )


def spanned_pairs(n: int = 5, labels: str = "abacb", **settings: int) -> PromptPairs:
    """The same with spans: each token has one of the labels in turn, the last one "end"."""
    pairs = ragged_pairs(n, **settings)
    return pairs.labelled(
        [[*(labels[place % len(labels)] for place in range(int(end))), "end"] for end in pairs.end]
    )


def word_tokenizer() -> PreTrainedTokenizerFast:
    return native.word_tokenizer([f"w{number}" for number in range(VOCABULARY)])


class ToyTask(Task):
    """Random words; the right answer is what the model says more because of the clean prompt."""

    name = "toy"
    description = "Say what this model says."
    n_variants = len(LENGTHS)

    def __init__(
        self, bridge: TransformerBridge, reverse: bool = False, corrupts: bool = True
    ) -> None:
        self.bridge, self.reverse, self.corrupts = bridge, reverse, corrupts
        self._known: dict[tuple[int, ...], tuple[int, int]] = {}

    def draw(self, rng: Random, variant: int, words: Words) -> PromptPair:
        clean = [rng.randrange(VOCABULARY) for _ in range(LENGTHS[variant])]
        if not self.corrupts:
            right, wrong = rng.sample(range(VOCABULARY), 2)
            return PromptPair(
                _text(clean), _text(clean), (f" w{right}",), (f" w{wrong}",), template=variant
            )
        corrupted = list(clean)
        for position in (1, 3):
            corrupted[position] = (clean[position] + rng.randrange(1, VOCABULARY)) % VOCABULARY
        right, wrong = self._answers(clean, corrupted)
        if self.reverse:
            right, wrong = wrong, right
        return PromptPair(
            clean=_text(clean),
            corrupted=_text(corrupted),
            correct=(f" w{right}",),
            wrong=(f" w{wrong}",),
            template=variant,
        )

    def _answers(self, clean: list[int], corrupted: list[int]) -> tuple[int, int]:
        """Asked of the model once: tests draw the same prompts again and again."""
        key = *clean, *corrupted
        if key not in self._known:
            there = next(self.bridge.parameters()).device
            with torch.no_grad():
                before, after = self.bridge(torch.tensor([clean, corrupted]).to(there))[:, -1]
            self._known[key] = int((before - after).argmax()), int(before.argmin())
        return self._known[key]


class NamedTask(ToyTask):
    """The same, with names for the pieces of its prompts."""

    name = "named"

    def draw(self, rng: Random, variant: int, words: Words) -> PromptPair:
        pair = super().draw(rng, variant, words)
        labels = ["", "changed", "kept", "changed 2"]
        parts = [
            (f"{word} ", labels[place] if place < len(labels) else "")
            for place, word in enumerate(pair.clean.split())
        ]
        return replace(pair, pieces=joined(parts)[1])


def _text(numbers: list[int]) -> str:
    return " ".join(f"w{number}" for number in numbers)
