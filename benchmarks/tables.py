"""Figures as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev


def table(titles: Sequence[str], rows: Sequence[Sequence[object]], n_left: int = 1) -> str:
    """A Markdown table; all columns but the first `n_left` are aligned to the right."""
    aligned = "|---" * n_left + "|--:" * (len(titles) - n_left) + "|"
    return "\n".join([_line(titles), aligned, *map(_line, rows)])


def spread(values: Sequence[float], form: str) -> str:
    """Mean and standard deviation, each in this form; "none" of no values."""
    if not values:
        return "none"
    deviation = stdev(values) if len(values) > 1 else 0.0
    return f"{form.format(fmean(values))} ± {form.format(deviation)}"


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
