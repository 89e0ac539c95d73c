"""The words of messages: names that are unknown, what is quoted, and how much of it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST_CAUSE = 200


def unknown_name(kind: str, name: str, known: Iterable[str], advice: str = "") -> str:
    """The sentence for an unknown name, with the closest known one and all there are.

    >>> unknown_name("task", "greatr-than", ("ioi", "greater-than"))
    "unknown task 'greatr-than'; did you mean 'greater-than'? known tasks: ioi, greater-than"
    """
    known = tuple(known)
    close = get_close_matches(name, known, n=1)
    suggestion = f"; did you mean {close[0]!r}?" if close else ";"
    return f"unknown {kind} {name!r}{suggestion} known {plural(kind)}: {', '.join(known)}{advice}"


def plural(kind: str) -> str:
    """The plural of what is of this kind, for messages and groups of entry points.

    >>> [plural(kind) for kind in ("task", "search", "prompts", "model with a known circuit")]
    ['tasks', 'searches', 'prompts', 'models with a known circuit']
    >>> plural("prune_by")
    'values of prune_by'
    """
    if "_" in kind:
        return f"values of {kind}"
    noun, space, rest = kind.partition(" ")
    ending = "" if noun.endswith("s") else "es" if noun.endswith("ch") else "s"
    return f"{noun}{ending}{space}{rest}"


def cause(error: BaseException | str) -> str:
    r"""Shorten an error's message to a line that can be quoted inside another message.

    At most 200 characters of its first line (of two, where the first ends in a colon), without the
    full stop; the error's class where it has no message.

    >>> cause(OSError("The disk is full.")), cause("field 'n':\n  it is no number")
    ('The disk is full', "field 'n': it is no number")
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1]) or type(error).__name__
    return shortened(text, _LONGEST_CAUSE).rstrip(".")


def quoted(value: object, most: int = _LONGEST_CAUSE) -> str:
    """What a file holds, to be quoted in a message: as Python writes it, cut where it is long.

    >>> quoted("some text"), quoted([1] * 1000, 12)
    ("'some text'", '[1, 1, 1, 1…')
    """
    if isinstance(value, str):
        return repr(shortened(value, most))
    return shortened(repr(value), most)


def quoted_list(values: Iterable[object], most: int = _LONGEST_CAUSE) -> str:
    """Several of them, or that there are none.

    >>> quoted_list(["a", "b"]), quoted_list([])
    ("'a', 'b'", 'none')
    """
    return shortened(", ".join(map(repr, values)), most) or "none"


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters, which shows where it was cut.

    >>> shortened("a long text", 7)
    'a long…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"
