"""Progress that writes down what it hears."""

from __future__ import annotations

from circuits.runtime.progress import Progress


def written_down() -> tuple[Progress, list[float]]:
    """A stage, and the fractions of it that are reported."""
    fractions: list[float] = []
    return Progress(lambda _, fraction: fractions.append(fraction), name="work"), fractions
