"""What a summary is made of: tables, names with values, answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from circuits.statistics import Estimate

NamedValues = Mapping[str, str]
"""Names and values."""


@dataclass(frozen=True)
class Table:
    """Rows of text under headers; a header that starts with ">" is aligned right.

    Attributes:
        headers: One for each column.
        rows: As many cells each.
        legend: What a reader must know.
        has_total: Whether the last row sums up the others.

    """

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    legend: str = ""
    has_total: bool = False


@dataclass(frozen=True)
class Answer:
    """A sentence or two, and whether a reader should be warned by them."""

    text: str
    is_warning: bool


def measured(value: Estimate | None, digits: int) -> tuple[str, str]:
    """A value and its interval, as two cells; empty where it was not measured."""
    return ("", "") if value is None else (f"{value.value:.{digits}f}", interval(value, digits))


def interval(value: Estimate, digits: int) -> str:
    """The ends of an interval."""
    return f"[{value.low:.{digits}f}, {value.high:.{digits}f}]"
