"""Where output goes: results to `out`, progress, warnings and errors to `err`.

Whatever is printed may come from a file of others. A terminal obeys some characters instead of
showing them; all printing goes through here, where they are written as JSON writes them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from circuits.errors import shortened

_LONGEST_LINE = 2000
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters (escape among them), marks that turn the direction of text, and halves of
characters, which cannot be written at all. Line feeds and tabs are none of them."""


def neutral(text: str) -> str:
    """A text without characters that a terminal obeys; each is shown as its code.

    >>> print(neutral(f"{chr(27)}[31mred").removeprefix(chr(92)))
    u001b[31mred
    """
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _Neutral(Console):
    """Writes no character of a text that a terminal would obey, and reads no markup in it."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """What rich makes of it: its own control codes stand apart from text."""
        for segment in super().render(renderable, options):
            if segment.control or not _OBEYED.search(segment.text):
                yield segment
            else:
                yield Segment(neutral(segment.text), segment.style)


out = _Neutral()
err = _Neutral(stderr=True)
_loudness = {"quiet": False}


@contextmanager
def quietly(is_quiet: bool) -> Iterator[None]:
    """Show results and errors alone inside the `with`, where that is asked for."""
    before = _loudness["quiet"]
    _loudness["quiet"] = is_quiet
    try:
        yield
    finally:
        _loudness["quiet"] = before


def is_quiet() -> bool:
    """Whether results and errors alone are shown."""
    return _loudness["quiet"]


def print_error(message: str) -> None:
    """One line on stderr."""
    _print_line("error", "bold red", message)


def print_warning(message: str) -> None:
    """One line on stderr, unless all is to be quiet."""
    if not is_quiet():
        _print_line("warning", "bold yellow", message)


def print_note(message: str) -> None:
    """One line on stderr, unless all is to be quiet."""
    if not is_quiet():
        _print_line("note", "bold", message)


def print_json(data: Any) -> None:
    """JSON alone on stdout, bare of colour and line breaks of ours; NaN becomes null."""
    text = json.dumps(_without_nan(data), indent=1, allow_nan=False, ensure_ascii=False)
    # Inside a JSON text the codes of characters are these characters.
    out.print(neutral(text), soft_wrap=True, style=None)


def print_text(text: str) -> None:
    """The content of a file, on stdout, as it is; neutral where that is a terminal."""
    out.file.write(neutral(text) if out.is_terminal else text)


def first_line(text: str) -> str:
    """The first line of a message, without its full stop."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else ""


def _print_line(label: str, style: str, message: str) -> None:
    line = shortened(first_line(message), _LONGEST_LINE)
    err.print(Text.assemble((f"{label}:", style), " ", line), soft_wrap=True)


def _without_nan(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_without_nan(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
