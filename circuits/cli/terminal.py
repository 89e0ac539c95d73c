"""Where output goes: results to `out`, progress, warnings and errors to `err`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
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
    out.print(text, soft_wrap=True, markup=False, emoji=False, style=None)


def print_text(text: str) -> None:
    """The content of a file, on stdout, as it is."""
    out.file.write(text)


def first_line(text: str) -> str:
    """The first line of a message, without its full stop."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else ""


def _print_line(label: str, style: str, message: str) -> None:
    err.print(Text.assemble((f"{label}:", style), " ", first_line(message)), soft_wrap=True)


def _without_nan(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_without_nan(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
