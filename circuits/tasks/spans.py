"""Spans: the token positions of a prompt in groups, by the names of the pieces they belong to.

Every token from a pair's first difference to its end is in exactly one span: the last one in "end",
others in that of the piece which has most of their characters, and the rest in "other".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from circuits.errors import InputError, TaskError, quoted
from circuits.tasks.text import Piece
from circuits.tasks.tokenization import Tokenizer, token_ids

END, OTHER = "end", "other"
_LONGEST = 60


def check_label(label: str) -> None:
    """Raise InputError for what cannot name a span: "9.6.q@label" must be read back.

    >>> check_label("name@1")
    Traceback (most recent call last):
    circuits.errors.InputError: a span is named in 1 to 60 characters on one line, without spaces at
    its ends, '@' and '->'; got 'name@1'
    """
    fits = 0 < len(label) <= _LONGEST and label.strip() == label and label.isprintable()
    if not fits or "@" in label or "->" in label:
        raise InputError(
            f"a span is named in 1 to {_LONGEST} characters on one line, without spaces at its "
            f"ends, '@' and '->'; got {quoted(label)}"
        )


@dataclass(frozen=True)
class Spans:
    """The spans that occur in some prompts, and which of them stand behind which.

    Attributes:
        names: In about the order of the prompt; "other" and "end" are the last.
        reached: Of each span, the places of those that have a token at or behind one of its own in
            some prompt: what its keys and values can reach through attention.

    Raises:
        InputError: A name occurs twice or cannot be one, or `reached` does not go with the names.

    >>> spans = Spans.of([["name", "other", "end"], ["other", "name", "end"]])
    >>> spans.names, spans.reached
    (('name', 'other', 'end'), ((0, 1, 2), (0, 1, 2), (2,)))
    """

    names: tuple[str, ...]
    reached: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        for name in self.names:
            check_label(name)
        if not self.names or len(set(self.names)) < len(self.names):
            raise InputError(f"spans are at least one, of different names; got {self.names}")
        places = set(range(len(self.names)))
        if len(self.reached) != len(places) or not places >= set().union(*self.reached):
            raise InputError(
                f"there must be {len(places)} lists of what spans reach, of places 0 to "
                f"{len(places) - 1}; got {self.reached}"
            )
        if self.names[-1] != END:
            raise InputError(f"the last span must be {END!r}, where answers are read")

    @classmethod
    def of(cls, labels: Sequence[Sequence[str]]) -> Spans:
        """From the labels of every prompt's tokens, first difference to end."""
        names = _in_order(labels)
        places = {name: place for place, name in enumerate(names)}
        behind: set[tuple[int, int]] = set()
        for prompt in labels:
            first = {label: at for at, label in reversed(list(enumerate(prompt)))}
            final = {label: at for at, label in enumerate(prompt)}
            behind |= {
                (places[one], places[other])
                for one, begins in first.items()
                for other, ends in final.items()
                if begins <= ends
            }
        every = range(len(names))
        return cls(names, tuple(tuple(t for t in every if (s, t) in behind) for s in every))

    def to_list(self) -> list[dict[str, Any]]:
        """As plain lists and texts: each span, and what its keys and values can reach."""
        reached = ([self.names[place] for place in places] for places in self.reached)
        return [
            {"name": name, "reaches": names}
            for name, names in zip(self.names, reached, strict=True)
        ]

    @classmethod
    def from_list(cls, entries: Any) -> Spans:
        """Read what `to_list` gave.

        Raises:
            InputError: The spans do not fit together.
            KeyError, TypeError: An entry is malformed.

        """
        places = {str(entry["name"]): place for place, entry in enumerate(entries)}
        reached = (tuple(places[name] for name in entry["reaches"]) for entry in entries)
        return cls(tuple(places), tuple(reached))


def read_pieces(cell: Any, clean: Any) -> tuple[Piece, ...]:
    """Read a cell of a table: what `piece_cells` gave, or nothing.

    Raises:
        TaskError: The cell is no list of pieces of the clean prompt.

    >>> read_pieces([{"label": "name 1", "start": 5, "stop": 9}], "When Mary and John")
    (Piece(label='name 1', start=5, stop=9),)
    """
    entries = () if cell is None or cell == "" else cell
    if not isinstance(entries, list | tuple) or not all(map(_is_piece, entries)):
        raise TaskError(
            'must be a list of pieces, {"label": "name 1", "start": 5, "stop": 9} with characters '
            f"of the clean prompt counted from 0, got {quoted(cell, 60)}"
        )
    pieces = tuple(Piece(each["label"], each["start"], each["stop"]) for each in entries)
    for piece in pieces:
        if isinstance(clean, str) and not 0 <= piece.start < piece.stop <= len(clean):
            ends = f"{piece.start} to {piece.stop}"
            raise TaskError(f"has a piece of characters {ends} of {len(clean)}")
        try:
            check_label(piece.label)
        except InputError as error:
            raise TaskError(f"has a label that cannot be one: {error}") from error
    return pieces


def piece_cells(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    """Pieces as a cell of a table."""
    return [asdict(piece) for piece in pieces]


def _is_piece(entry: Any) -> bool:
    if not isinstance(entry, dict) or entry.keys() != {"label", "start", "stop"}:
        return False
    ends = entry["start"], entry["stop"]
    return isinstance(entry["label"], str) and all(type(end) is int for end in ends)


def _in_order(labels: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """All labels, by how far into the prompts they first stand in the mean."""
    begins: dict[str, list[float]] = {}
    for prompt in labels:
        for label in dict.fromkeys(prompt):
            begins.setdefault(label, []).append(prompt.index(label) / len(prompt))
    mean = {label: sum(found) / len(found) for label, found in begins.items()}
    return tuple(sorted(mean, key=lambda label: (label == END, label == OTHER, mean[label])))


def token_labels(tokenizer: Tokenizer, text: str, pieces: Sequence[Piece]) -> tuple[str, ...]:
    """The span of each token of a prompt.

    Raises:
        TaskError: The tokenizer does not say where in a text its tokens stand.

    >>> token_labels(tokenizer, "w1 w2 w3", [Piece("first", 0, 2)])
    ('first', 'other', 'end')
    """
    n_tokens = len(token_ids(tokenizer, text))
    try:
        given = tokenizer(text, return_offsets_mapping=True)  # type: ignore[call-arg]
        offsets = [tuple(ends) for ends in given["offset_mapping"]]
    except (TypeError, KeyError, NotImplementedError) as error:
        raise TaskError(
            "this tokenizer does not say which characters a token has, which spans are told by: "
            "use the model's fast tokenizer, or leave spans out (positions 'all')"
        ) from error
    labels = [_label(text, ends, pieces) for ends in offsets[:n_tokens]]
    return (*labels[:-1], END)


def _label(text: str, ends: tuple[int, int], pieces: Sequence[Piece]) -> str:
    """The piece that has most characters of a token, of which spaces do not count."""
    own = [place for place in range(*ends) if not text[place].isspace()] or list(range(*ends))
    shares = [sum(piece.start <= place < piece.stop for place in own) for piece in pieces]
    most = max(shares, default=0)
    return pieces[shares.index(most)].label if most else OTHER
