"""Prompt pairs, tokenized into tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Int
from torch import Tensor
from xxhash import xxh3_128

from circuits.errors import TaskError
from circuits.tasks.spans import Spans, token_labels
from circuits.tasks.text import NO_ANSWER, Piece
from circuits.tasks.tokenization import EncodedPair, Tokenizer


@dataclass(frozen=True)
class PromptPairs:
    """A batch of tokenized pairs; a pair's two prompts have the same length.

    Every pair's prompts differ, or those of none do: a control, in which there is nothing to find.

    Attributes:
        task: Name of the task that the pairs were sampled from.
        seed: Seed that they were sampled with.
        clean: Token ids of the clean prompts, right-padded.
        corrupted: Token ids of the corrupted prompts, right-padded.
        end: Position of each prompt's last token, where the answer is read.
        correct: Token ids of the right answers, padded with -1.
        wrong: Token ids of the wrong answers, padded with -1.
        template: Label of the pairs whose positions line up, for means over prompts.
        clean_text: The clean prompts as text.
        corrupted_text: The corrupted prompts as text.
        pieces: The named parts of each clean prompt; of a task that names none, nothing.
        span: The span of each token by its place among `spans`, -1 before the first difference and
            behind the end; None without spans.
        spans: The spans that there are; None without.

    Raises:
        TaskError: The parts do not fit together, the two prompts of some pairs, and not of others,
            are equal up to `end`, or a prompt has no correct or no wrong answer.

    >>> pairs = task.sample(tokenizer, n=4, seed=0)
    >>> pairs.clean.shape, pairs.end.tolist()  # right-padded; the last token of each prompt
    (torch.Size([4, 8]), [5, 7, 5, 7])
    >>> len(pairs[pairs.end == 5])
    2
    """

    task: str
    seed: int
    clean: Int[Tensor, "prompt pos"]
    corrupted: Int[Tensor, "prompt pos"]
    end: Int[Tensor, " prompt"]
    correct: Int[Tensor, "prompt correct_answer"]
    wrong: Int[Tensor, "prompt wrong_answer"]
    template: Int[Tensor, " prompt"]
    clean_text: tuple[str, ...]
    corrupted_text: tuple[str, ...]
    pieces: tuple[tuple[Piece, ...], ...] = ()
    span: Int[Tensor, "prompt pos"] | None = None
    spans: Spans | None = None

    def __post_init__(self) -> None:
        self._check_shapes()
        self._check_ends()
        self._check_answers()

    @classmethod
    def of(
        cls, task: str, seed: int, tokenizer: Tokenizer, encoded: Sequence[EncodedPair]
    ) -> PromptPairs:
        """Put encoded pairs, at least one, into one right-padded batch."""
        padding = _padding_token(tokenizer)
        return cls(
            task=task,
            seed=seed,
            clean=_padded([pair.clean for pair in encoded], padding),
            corrupted=_padded([pair.corrupted for pair in encoded], padding),
            end=torch.tensor([len(pair.clean) - 1 for pair in encoded]),
            correct=_padded([pair.correct for pair in encoded], NO_ANSWER),
            wrong=_padded([pair.wrong for pair in encoded], NO_ANSWER),
            template=torch.tensor([pair.text.template for pair in encoded]),
            clean_text=tuple(pair.text.clean for pair in encoded),
            corrupted_text=tuple(pair.text.corrupted for pair in encoded),
            pieces=tuple(pair.text.pieces for pair in encoded),
        )

    def with_spans(self, tokenizer: Tokenizer, spans: Spans | None = None) -> PromptPairs:
        """The same with every token's span, by the pieces that the task names.

        Args:
            tokenizer: The one that they were tokenized with.
            spans: Those of other prompts, to which these are to belong; their own without.

        Raises:
            TaskError: The task names no pieces, the tokenizer does not say where tokens stand, or
                the prompts have a span that is none of these.

        """
        if not any(self.pieces):
            raise TaskError(
                f"task {self.task!r} names no pieces of its prompts, so that there are no spans: "
                "give it pieces (PromptPair.pieces), or leave spans out (positions 'all')"
            )
        texts = zip(self.clean_text, self.pieces, strict=True)
        return self.labelled([token_labels(tokenizer, *prompt) for prompt in texts], spans)

    def labelled(self, labels: Sequence[Sequence[str]], spans: Spans | None = None) -> PromptPairs:
        """The same with spans by the label of every token of each prompt.

        Labels before the first difference and behind the end are not looked at; that of the end
        must be "end".

        Raises:
            TaskError: A prompt has a span that is none of `spans`.
            InputError: A label cannot name a span.

        >>> named = pairs.labelled([["other"] * int(end) + ["end"] for end in pairs.end])
        >>> named.spans.names, named.span[0].tolist()
        (('other', 'end'), [-1, 0, 0, 0, 0, 1, -1, -1])
        """
        ends = zip(self.first_difference.tolist(), (self.end + 1).tolist(), strict=True)
        own = [list(of[first:last]) for of, (first, last) in zip(labels, ends, strict=True)]
        spans = spans or Spans.of(own)
        places = {name: place for place, name in enumerate(spans.names)}
        if unknown := sorted({label for of in own for label in of} - places.keys()):
            raise TaskError(
                f"prompts of task {self.task!r} have a span {unknown[0]!r}, which is none of those "
                f"of the prompts that the graph was made of: {', '.join(spans.names)}"
            )
        span = torch.full(self.clean.shape, -1)
        for row, (first, of) in enumerate(zip(self.first_difference.tolist(), own, strict=True)):
            span[row, first : first + len(of)] = torch.tensor([places[label] for label in of])
        return replace(self, span=span.to(self.clean.device), spans=spans)

    def __len__(self) -> int:
        return len(self.clean_text)

    def __getitem__(self, index: slice | Tensor) -> PromptPairs:
        """Return the pairs chosen by a slice, a boolean mask or a tensor of indices.

        The padding stays as wide as it was.

        Raises:
            TypeError: `index` is anything else, such as a single integer.

        """
        if not isinstance(index, slice | Tensor) or (isinstance(index, Tensor) and index.ndim != 1):
            raise TypeError(
                f"PromptPairs takes a slice, a boolean mask or a 1-D index tensor, got {index!r}; "
                "for the single pair i write pairs[i : i + 1]"
            )
        rows = torch.arange(len(self))[index if isinstance(index, slice) else index.cpu()]
        here = rows.to(self.clean.device)
        return replace(
            self,
            **{name: tensor[here] for name, tensor in self._tensors.items()},
            clean_text=tuple(self.clean_text[row] for row in rows.tolist()),
            corrupted_text=tuple(self.corrupted_text[row] for row in rows.tolist()),
            pieces=tuple(self.pieces[row] for row in rows.tolist()) if self.pieces else (),
        )

    def to(self, device: torch.device | str) -> PromptPairs:
        """Return the same pairs with every tensor on `device`."""
        return replace(self, **{name: each.to(device) for name, each in self._tensors.items()})

    @property
    def first_difference(self) -> Int[Tensor, " prompt"]:
        """The first position at which a pair's two prompts differ; 0 where they do not."""
        return (self.clean != self.corrupted).int().argmax(dim=1)

    def in_turn(self, n: int, turn: int) -> PromptPairs:
        """The n prompts of a turn, 0 first, where each turn goes on behind the one before it."""
        return self[torch.arange(n).add(turn * n).remainder(len(self))]

    @property
    def digest(self) -> str:
        """A hash of everything in them that an effect depends on."""
        found = xxh3_128()
        for tensor in (self.clean, self.corrupted, self.end, self.correct, self.wrong):
            found.update(repr(tuple(tensor.shape)).encode())
            found.update(tensor.cpu().contiguous().numpy().tobytes())
        found.update(self.template.cpu().contiguous().numpy().tobytes())
        if self.span is not None:
            found.update(repr(self.spans).encode())
            found.update(self.span.cpu().contiguous().numpy().tobytes())
        return found.hexdigest()

    @property
    def _tensors(self) -> dict[str, Tensor]:
        every = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in every.items() if isinstance(value, Tensor)}

    def _check_shapes(self) -> None:
        if self.clean.ndim != 2 or self.clean.shape != self.corrupted.shape:
            raise TaskError(
                "clean and corrupted must both be [prompt, pos], got "
                f"{list(self.clean.shape)} and {list(self.corrupted.shape)}"
            )
        prompts = {
            "clean": self.clean,
            "end": self.end,
            "correct": self.correct,
            "wrong": self.wrong,
            "template": self.template,
            "clean_text": self.clean_text,
            "corrupted_text": self.corrupted_text,
            **({"pieces": self.pieces} if self.pieces else {}),
            **({} if self.span is None else {"span": self.span}),
        }
        counts = {name: len(value) for name, value in prompts.items()}
        if len(set(counts.values())) > 1:
            raise TaskError(f"every part must have one row per prompt, got {counts}")

    def _check_ends(self) -> None:
        width = self.clean.shape[1]
        outside = (self.end < 0) | (self.end >= width)
        if outside.any():
            row = _first(outside)
            raise TaskError(
                f"pair {row}: end is position {int(self.end[row])}, allowed are 0 to {width - 1}"
            )
        within = torch.arange(width, device=self.end.device) <= self.end[:, None]
        same = ~((self.clean != self.corrupted) & within).any(dim=1)
        if same.any() and not same.all():
            row = _first(same)
            raise TaskError(
                f"pair {row}: the clean and the corrupted prompt are the same tokens up to the "
                f"position of the answer, so nothing is corrupted: {self.clean_text[row]!r}"
            )

    def _check_answers(self) -> None:
        for name, answers in (("correct", self.correct), ("wrong", self.wrong)):
            if answers.ndim != 2:
                raise TaskError(f"{name} must be [prompt, answer], got {list(answers.shape)}")
            empty = (answers == NO_ANSWER).all(dim=1)
            if empty.any():
                row = _first(empty)
                raise TaskError(
                    f"pair {row} has no {name} answer; give at least one for each prompt: "
                    f"{self.clean_text[row]!r}"
                )


def _first(mask: Tensor) -> int:
    return int(mask.int().argmax())


def _padding_token(tokenizer: Tokenizer) -> int:
    for name in ("pad_token_id", "eos_token_id"):
        token = getattr(tokenizer, name, None)
        if token is not None:
            return token
    return 0


def _padded(rows: Sequence[tuple[int, ...]], fill: int) -> Int[Tensor, "row column"]:
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows])
