"""The task interface: a subclass draws text pairs, `Task` turns them into checked batches."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

from circuits.errors import TaskError, UncorruptedError, quoted
from circuits.tasks.doubts import PromptWarning, doubts
from circuits.tasks.tables import pairs_to_dataset
from circuits.tasks.text import PromptPair
from circuits.tasks.tokenization import EncodedPair, PairEncoder, Tokenizer, single_token_words

if TYPE_CHECKING:
    from datasets import Dataset

    from circuits.tasks.pairs import PromptPairs

Words = Mapping[str, Sequence[str]]
"""Word lists by name, such as {"name": ("Mary", "John"), "place": ("store",)}."""

MAX_REJECTED_IN_A_ROW = 1000
_told: WeakKeyDictionary[Task, set[str]] = WeakKeyDictionary()
"""Of each task, what was warned of: a discovery samples its prompts in several parts."""


class Task(ABC):
    """A behaviour of language models, as a source of contrastive prompt pairs.

    A subclass gives `name`, `description` and `draw`; a task with word lists names them in
    `word_lists`, and `draw` receives those of their words that are one token of the tokenizer.

    Attributes:
        name: What `get_task` knows the task by.
        description: One sentence on what a model must do.
        source: The publication that the task follows.
        n_variants: Number of templates or structural variants; `sample` takes them in turn.
        word_lists: The words to draw from, without leading spaces.
        min_words: A tokenizer must know this many words of each list, or all of a shorter list.
        n_pairs: How many pairs there are; None where they are drawn from words.
        spec: What `get_task` takes to give this task again; the name where it is empty.
        digest: A hash of pairs that are read from somewhere; None where they are drawn.

    >>> class Repeat(Task):
    ...     name, description = "repeat", "Say the word that followed the last one before."
    ...     word_lists = {"word": ("w1", "w2", "w3", "w4", "w5", "w6")}
    ...     def draw(self, rng, variant, words):
    ...         a, b, c = rng.sample(words["word"], 3)
    ...         return PromptPair(f"{a} {b} {a}", f"{c} {b} {a}", (f" {b}",), (f" {c}",))
    >>> Repeat().sample(tokenizer, n=8).clean.shape
    torch.Size([8, 3])
    """

    name: str
    description: str
    source: str = ""
    n_variants: int = 1
    word_lists: ClassVar[Words] = {}
    min_words: ClassVar[int] = 8
    n_pairs: int | None = None
    spec: str = ""
    digest: str | None = None

    @abstractmethod
    def draw(self, rng: Random, variant: int, words: Words) -> PromptPair:
        """Draw one pair of the given variant (0 to `n_variants` - 1), all chance from `rng`."""

    def usable_words(self, tokenizer: Tokenizer) -> Words:
        """Return the words that keep every prompt of a template at one length.

        Raises:
            TaskError: Too few words of a list are single tokens.

        """
        usable = {
            name: single_token_words(tokenizer, words) for name, words in self.word_lists.items()
        }
        for name, words in self.word_lists.items():
            needed = min(self.min_words, len(words))
            if len(usable[name]) < needed:
                raise TaskError(
                    f"task {self.name!r} needs {needed} {name} words that are single tokens, but "
                    f"this tokenizer has {len(usable[name])} of our {len(words)}; use a tokenizer "
                    f"with a larger English vocabulary, or extend word_lists[{name!r}]"
                )
        return usable

    def example(self, seed: int = 0, variant: int = 0) -> PromptPair:
        """Return one pair as text, with the same words for every tokenizer: no model is needed."""
        return self.draw(Random(seed), variant, self.word_lists)

    def sample(
        self, tokenizer: Tokenizer, n: int = 64, seed: int = 0, n_templates: int | None = None
    ) -> PromptPairs:
        """Return `n` distinct pairs, the same for the same tokenizer and seed.

        The variants take turns, and a smaller `n` gives the first pairs of a larger one. With
        `n_templates`, so many variants do, which ones and in which order by chance of the seed.
        Draws that corrupt nothing are passed over; a task that never corrupts is taken as the
        control that it is.

        Raises:
            TaskError: `n` is not positive, the task has fewer variants than `n_templates`, or this
                tokenizer does not allow so many pairs.

        Warns:
            PromptWarning: The prompts can be used, and are probably not what was meant.

        """
        pairs = self._some_pairs(tokenizer, n, seed, n_templates)
        return self.batch(tokenizer, pairs, seed)

    def batch(
        self, tokenizer: Tokenizer, encoded: Sequence[EncodedPair], seed: int = 0
    ) -> PromptPairs:
        """Encoded pairs, at least one, as one batch of tensors."""
        # A task can be listed and shown without torch.
        from circuits.tasks.pairs import PromptPairs

        return PromptPairs.of(self.name, seed, tokenizer, encoded)

    def text_pairs(
        self, tokenizer: Tokenizer, n: int = 64, seed: int = 0
    ) -> tuple[PromptPair, ...]:
        """Return the pairs that `sample` gives, as text. Raises TaskError as it does."""
        return tuple(pair.text for pair in self._some_pairs(tokenizer, n, seed))

    def to_dataset(self, tokenizer: Tokenizer, n: int = 64, seed: int = 0) -> Dataset:
        """Return the pairs that `sample` gives, as a dataset that `task_from_dataset` reads."""
        return pairs_to_dataset(self.text_pairs(tokenizer, n, seed))

    def _some_pairs(
        self, tokenizer: Tokenizer, n: int, seed: int, n_templates: int | None = None
    ) -> Sequence[EncodedPair]:
        if n < 1:
            raise TaskError(f"n must be at least 1 prompt pair, got {n}")
        pairs = self.encoded_pairs(tokenizer, n, seed, n_templates)
        told = _told.setdefault(self, set())
        for kind, sentence in doubts(tokenizer, pairs).items():
            if kind not in told:
                told.add(kind)
                warnings.warn(f"task {self.name!r}: {sentence}", PromptWarning, stacklevel=3)
        return pairs

    def encoded_pairs(
        self, tokenizer: Tokenizer, n: int, seed: int, n_templates: int | None = None
    ) -> Sequence[EncodedPair]:
        """Draw pairs until `n` are distinct and can be used. `n` is positive."""
        turns = self._turns(seed, n_templates)
        rng = Random(seed)
        words = self.usable_words(tokenizer)
        encoder = PairEncoder(tokenizer)
        encoded: list[EncodedPair] = []
        seen: set[str] = set()
        while len(encoded) < n:
            try:
                variant = turns[len(encoded) % len(turns)]
                pair = self._next_pair(rng, words, encoder, variant, seen, n)
            except UncorruptedError:
                if encoded:
                    raise
                encoder = PairEncoder(tokenizer, corrupts=False)
                continue
            seen.add(pair.text.clean)
            encoded.append(pair)
        return encoded

    def _turns(self, seed: int, n_templates: int | None) -> Sequence[int]:
        """The variants in the order in which they take turns."""
        if n_templates is None:
            return range(self.n_variants)
        if not 1 <= n_templates <= self.n_variants:
            raise TaskError(
                f"task {self.name!r} has {self.n_variants} templates, and {n_templates} of them "
                f"were asked for; ask for 1 to {self.n_variants}"
            )
        return Random(f"templates of seed {seed}").sample(range(self.n_variants), n_templates)

    def _next_pair(
        self, rng: Random, words: Words, encoder: PairEncoder, variant: int, seen: set[str], n: int
    ) -> EncodedPair:
        reason, kind = "", UncorruptedError
        for _ in range(MAX_REJECTED_IN_A_ROW):
            pair = self.draw(rng, variant, words)
            if pair.clean in seen:
                reason, kind = f"drawn before: {quoted(pair.clean)}", TaskError
                continue
            try:
                return encoder.encode(pair)
            except UncorruptedError as error:
                reason = str(error)
            except TaskError as error:
                reason, kind = str(error), TaskError
        raise kind(
            f"task {self.name!r} was asked for {n} distinct pairs and gives {len(seen)} with this "
            f"tokenizer: {MAX_REJECTED_IN_A_ROW} draws in a row were rejected, the last because "
            f"{reason}; ask for n <= {len(seen)}, or give the task more words or templates"
        )
