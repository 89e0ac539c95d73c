"""What a small model is to compute, as a causal model of a few variables.

A causal model draws prompts and says which answers are right when one of its variables takes the
value that it has on another prompt. The training forces a transformer to agree, and the interchange
accuracy says how far it does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from circuits.truth.small_tasks import (
    LETTERS,
    NAMES,
    NOUNS,
    YEARS,
    ShortIOI,
    SmallGreaterThan,
    SmallInduction,
    SmallIOI,
    SmallTask,
)

NO_VARIABLE = -1
Right = Bool[Tensor, "prompt token"]


class CausalModel(ABC):
    """A few variables between a prompt and its right answers.

    Attributes:
        task: The task whose clean and corrupted prompts it draws.
        variables: From the prompt to the answer; numbers stand for them in what follows.

    """

    task: ClassVar[type[SmallTask]]
    variables: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        self.ids = {word: number for number, word in enumerate(self.task.words)}

    @abstractmethod
    def draw(self, n: int, draw: torch.Generator) -> Int[Tensor, "prompt pos"]:
        """Random prompts of the task, clean and corrupted ones."""

    @abstractmethod
    def right(
        self,
        base: Int[Tensor, "prompt pos"],
        source: Int[Tensor, "prompt pos"],
        variable: Int[Tensor, " prompt"],
    ) -> Right:
        """The right answers to `base` when a variable has its value on `source`.

        `variable` may differ from prompt to prompt; `NO_VARIABLE` changes nothing.
        """

    def tokens(self, words: Sequence[str]) -> Int[Tensor, " word"]:
        """Token ids of words."""
        return torch.tensor([self.ids[word] for word in words])

    def _one_hot(self, answers: Int[Tensor, " prompt"]) -> Right:
        return torch.nn.functional.one_hot(answers, len(self.task.words)).bool()

    def _chosen(
        self, words: Sequence[str], n: int, size: int, draw: torch.Generator
    ) -> Int[Tensor, "prompt size"]:
        """Different words for each prompt."""
        order = torch.rand(n, len(words), generator=draw).argsort(1)[:, :size]
        return self.tokens(words)[order]


class InductionModel(CausalModel):
    """`previous`: what stands before each position. `copied`: what stands where that is the cue.

    Where the cue stood nowhere before, every letter is right.
    """

    task = SmallInduction
    variables = ("previous", "copied")

    def draw(self, n: int, draw: torch.Generator) -> Int[Tensor, "prompt pos"]:
        length = SmallInduction.length
        letters = self._chosen(LETTERS, n, length + 1, draw)
        place = torch.randint(length - 1, (n,), generator=draw)
        cue = letters[torch.arange(n), place]
        # Every fourth prompt is a corrupted one, whose cue stood nowhere before.
        cue = torch.where(torch.arange(n) % 4 == 3, letters[:, -1], cue)
        start = torch.zeros(n, 1, dtype=torch.long)
        return torch.cat([start, letters[:, :length], cue[:, None]], 1)

    def right(
        self,
        base: Int[Tensor, "prompt pos"],
        source: Int[Tensor, "prompt pos"],
        variable: Int[Tensor, " prompt"],
    ) -> Right:
        before = torch.where((variable == 0)[:, None], source, base)[:, :-1]
        copied = self._copied(base, before)
        theirs = self._copied(source, source[:, :-1])
        return torch.where((variable == 1)[:, None], theirs, copied)

    def _copied(
        self, prompts: Int[Tensor, "prompt pos"], before: Int[Tensor, "prompt later"]
    ) -> Right:
        follows = before == prompts[:, -1:]
        found = torch.zeros(len(prompts), len(self.task.words), dtype=torch.bool)
        found.scatter_(1, torch.where(follows, prompts[:, 1:], 0), True)
        found[:, 0] = False
        none = ~found.any(1, keepdim=True)
        every = torch.arange(len(self.task.words)) > 0
        return torch.where(none, every, found)


class IOIModel(CausalModel):
    """`repeated`: which of two names comes again; `inhibited`: that, at the end; `moved`: the rest.

    Where neither is repeated, both are right.
    """

    task = SmallIOI
    variables = ("repeated", "inhibited", "moved")

    def draw(self, n: int, draw: torch.Generator) -> Int[Tensor, "prompt pos"]:
        names = self._chosen(NAMES, n, 3, draw)
        # A third of the prompts are corrupted ones, with three different names.
        subject = names[torch.arange(n), torch.arange(n) % 3]
        pattern = self.task().example().clean.split()
        prompts = self.tokens(pattern).repeat(n, 1)
        prompts[:, 1], prompts[:, 3], prompts[:, 5] = names[:, 0], names[:, 1], subject
        return prompts

    def right(
        self,
        base: Int[Tensor, "prompt pos"],
        source: Int[Tensor, "prompt pos"],
        variable: Int[Tensor, " prompt"],
    ) -> Right:
        moved = len(self.variables) - 1
        inner = (variable != NO_VARIABLE) & (variable != moved)
        repeated = torch.where(inner[:, None], self._repeated(source), self._repeated(base))
        theirs = self._moved(source, self._repeated(source))
        return torch.where((variable == moved)[:, None], theirs, self._moved(base, repeated))

    def _repeated(self, prompts: Int[Tensor, "prompt pos"]) -> Bool[Tensor, "prompt 2"]:
        return prompts[:, [1, 3]] == prompts[:, 5:6]

    def _moved(
        self, prompts: Int[Tensor, "prompt pos"], repeated: Bool[Tensor, "prompt 2"]
    ) -> Right:
        first, second = self._one_hot(prompts[:, 1]), self._one_hot(prompts[:, 3])
        return (first & ~repeated[:, :1]) | (second & ~repeated[:, 1:])


class ShortIOIModel(IOIModel):
    """The same without words behind the repeated name, and so without a step to the end."""

    task = ShortIOI
    variables = ("repeated", "moved")


class GreaterThanModel(CausalModel):
    """`year` of the beginning, `bound`: the same one step later; every later year is right."""

    task = SmallGreaterThan
    variables = ("year", "bound")

    def draw(self, n: int, draw: torch.Generator) -> Int[Tensor, "prompt pos"]:
        nouns = self._chosen(NOUNS, n, 1, draw)[:, 0]
        years = torch.randint(len(YEARS) - 1, (n,), generator=draw)
        prompts = self.tokens(self.task().example().clean.split()).repeat(n, 1)
        prompts[:, 1], prompts[:, 3] = nouns, self.tokens(YEARS)[years]
        return prompts

    def right(
        self,
        base: Int[Tensor, "prompt pos"],
        source: Int[Tensor, "prompt pos"],
        variable: Int[Tensor, " prompt"],
    ) -> Right:
        year = torch.where(variable == NO_VARIABLE, base[:, 3], source[:, 3])
        later = torch.zeros(len(base), len(self.task.words), dtype=torch.bool)
        years = self.tokens(YEARS)
        later[:, years] = years > year[:, None]
        return later


def soft_targets(right: Right) -> Float[Tensor, "prompt token"]:
    """The same probability for every right answer."""
    return right / right.sum(1, keepdim=True)
