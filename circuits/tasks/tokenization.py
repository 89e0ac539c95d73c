"""From text pairs to token ids, with the tokenizer's own rules checked rather than assumed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

from circuits.errors import TaskError, UncorruptedError, quoted
from circuits.tasks.text import PromptPair


@runtime_checkable
class Tokenizer(Protocol):
    """What a task needs of a tokenizer; every Hugging Face tokenizer has it.

    A call returns token ids under "input_ids". Prompts are padded with `pad_token_id`, else
    `eos_token_id`, else 0; these are not part of the protocol because Hugging Face declares neither
    to type checkers.

    >>> tokenizer("w12 w7")["input_ids"], isinstance(tokenizer, Tokenizer)
    ([12, 7], True)
    """

    def __call__(self, text: Any, /) -> Mapping[str, Any]: ...


def token_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the tokens of `text`, with what the tokenizer puts before every text by itself.

    What it puts behind every text is left out: nothing is to follow such a token.
    """
    ids = list(tokenizer(text)["input_ids"])
    for kind in ("eos_token", "sep_token"):
        token, number = getattr(tokenizer, kind, None), getattr(tokenizer, f"{kind}_id", None)
        own = 1 if token and text.endswith(token) else 0
        if token and len(ids) > 1 + own and set(ids[-1 - own :]) == {number}:
            ids.pop()
    return ids


def unknown_token(token: int, n_tokens: int) -> str:
    """What to say of a token that is none of a model's."""
    return (
        f"token {token}, and the model has tokens 0 to {n_tokens - 1} alone: give its embeddings "
        "as many rows as the tokenizer has tokens (resize_token_embeddings), or leave the token out"
    )


def single_token_words(tokenizer: Tokenizer, words: Iterable[str]) -> tuple[str, ...]:
    """Return the words that are one token when a space and other text stand before them."""
    before = token_ids(tokenizer, "of the")
    return tuple(
        word
        for word in words
        if (ids := token_ids(tokenizer, f"of the {word}"))[:-1] == before and len(ids) > 1
    )


@dataclass(frozen=True)
class EncodedPair:
    """One pair as token ids; `clean` and `corrupted` have equal length."""

    text: PromptPair
    clean: tuple[int, ...]
    corrupted: tuple[int, ...]
    correct: tuple[int, ...]
    wrong: tuple[int, ...]

    @property
    def largest(self) -> int:
        """The largest token of all."""
        return max(*self.clean, *self.corrupted, *self.correct, *self.wrong)


class PairEncoder:
    """Tokenizes pairs one by one and refuses those that a position-wise comparison cannot use."""

    def __init__(
        self, tokenizer: Tokenizer, *, corrupts: bool = True, reuse_answers: bool = True
    ) -> None:
        """Refuse pairs of the same prompt twice; all others where the task never `corrupts`.

        With `reuse_answers`, an answer is tokenized once for all prompts that end in the same word.
        A tokenizer that merges across spaces would need it without.
        """
        self._tokenizer, self._corrupts = tokenizer, corrupts
        self._reuse_answers = reuse_answers
        self._answer_ids: dict[tuple[str, str], int] = {}

    def encode(self, pair: PromptPair) -> EncodedPair:
        """Tokenize one pair.

        Raises:
            UncorruptedError: The prompts are the same.
            TaskError: The prompts differ in length, or in a task that never corrupts; an answer is
                not exactly one token after the clean prompt, or is both correct and wrong.

        """
        clean, corrupted = self._encode_prompts(pair)
        correct = self._encode_answers(pair.clean, clean, pair.correct)
        wrong = self._encode_answers(pair.clean, clean, pair.wrong)
        if shared := set(correct) & set(wrong):
            raise TaskError(f"tokens {sorted(shared)} are both correct and wrong: {quoted(pair)}")
        if not correct or not wrong:
            raise TaskError(f"a pair needs a correct and a wrong answer, got {quoted(pair)}")
        return EncodedPair(pair, tuple(clean), tuple(corrupted), correct, wrong)

    def problems(self, pair: PromptPair) -> tuple[str, ...]:
        """Everything that keeps `encode` from tokenizing a pair; nothing where it can."""
        found: list[str] = []
        for check in self._checks(pair):
            try:
                check()
            except TaskError as error:
                found.append(str(error))
        if not found:
            try:
                self.encode(pair)
            except TaskError as error:
                found.append(str(error))
        return tuple(found)

    def _checks(self, pair: PromptPair) -> Iterator[Callable[[], object]]:
        """What can be wrong with the prompts, and with each answer by itself."""
        yield partial(self._encode_prompts, pair)
        clean = token_ids(self._tokenizer, pair.clean)
        for answer in (*pair.correct, *pair.wrong):
            yield partial(self._encode_answers, pair.clean, clean, [answer])

    def _encode_prompts(self, pair: PromptPair) -> tuple[list[int], list[int]]:
        clean = token_ids(self._tokenizer, pair.clean)
        corrupted = token_ids(self._tokenizer, pair.corrupted)
        for prompt, ids in ((pair.clean, clean), (pair.corrupted, corrupted)):
            if not ids:
                raise TaskError(f"the prompt {prompt!r} has no tokens")
        if len(clean) != len(corrupted):
            raise TaskError(
                f"the clean prompt has {len(clean)} tokens and the corrupted one {len(corrupted)}, "
                f"but they must be equally long: {quoted(pair.clean)} and {quoted(pair.corrupted)}"
            )
        if clean == corrupted and self._corrupts:
            raise UncorruptedError(
                f"the clean and the corrupted prompt are the same: {quoted(pair.clean)}"
            )
        if clean != corrupted and not self._corrupts:
            raise TaskError(
                "the task gave pairs of equal prompts, and now one of different prompts: "
                f"{quoted(pair.clean)} and {quoted(pair.corrupted)}"
            )
        return clean, corrupted

    def _encode_answers(
        self, prompt: str, prompt_ids: list[int], answers: Sequence[str]
    ) -> tuple[int, ...]:
        # Tokenizers do not merge across the last space, so the last word settles how an answer
        # continues it; a hundred two-digit years per prompt would otherwise take seconds.
        last_word = prompt[max(0, prompt.rfind(" ")) :]
        ids = []
        for answer in answers:
            key = (last_word if self._reuse_answers else prompt, answer)
            if key not in self._answer_ids:
                self._answer_ids[key] = self._answer_id(prompt, prompt_ids, answer)
            ids.append(self._answer_ids[key])
        return tuple(dict.fromkeys(ids))

    def _answer_id(self, prompt: str, prompt_ids: list[int], answer: str) -> int:
        together = token_ids(self._tokenizer, prompt + answer)
        if len(together) != len(prompt_ids) + 1 or together[:-1] != prompt_ids:
            raise TaskError(
                f"the answer {quoted(answer)} is not exactly one token after {quoted(prompt)}: the "
                f"prompt is {quoted(prompt_ids)}, with the answer it is {quoted(together)}; "
                f"{self._advice(prompt, prompt_ids, answer)}"
            )
        return together[-1]

    def _advice(self, prompt: str, prompt_ids: list[int], answer: str) -> str:
        if hint := _misread_answer(answer):
            return hint
        if prompt.endswith(" "):
            return "move the space at the end of the prompts to the beginning of the answers"
        spaced = f" {answer}"
        if token_ids(self._tokenizer, prompt + spaced)[:-1] == prompt_ids:
            return f"with a leading space it is: {quoted(spaced)}"
        an_id = "; where it is a token id, write its text" if answer.strip().isdecimal() else ""
        return (
            f"choose an answer that is one token of this tokenizer, with its leading space{an_id}"
        )


def _misread_answer(answer: str) -> str | None:
    """What an answer seems to be, where it is no answer; None where it seems to be one."""
    text = answer.strip()
    if "dtype:" in text:
        return "it is a pandas Series as text: write the answers themselves, as a list of texts"
    if re.fullmatch(r"\[.*['\",].*\]", text):
        return 'it is a list as text: write several answers as a JSON list, [" she", " her"]'
    if re.search(r"\w\s*[,;|/\t]\s*\w", text):
        return 'write several answers as a list of texts, [" she", " her"], not as one text'
    return None
