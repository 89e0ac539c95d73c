"""How much there may be: of memory and shares as people write them, of prompts, of heads."""

from __future__ import annotations

from circuits.errors import InputError, SettingError

MOST_HEADS = 100_000
"""In all layers together; the largest models that are published have less than 20,000."""
MOST_PROMPTS = 100_000
"""More than any run needs: a number in a file must not decide how long one waits."""
MOST_REPEATS = 10_000
"""Of seeds and of trials, for the same reason."""
LARGEST_SEED = 2**32 - 1
"""The largest that everything which is seeded takes: Python, torch, numpy and Optuna."""
MOST_THREADS = 1024


def parse_bytes(size: str) -> int:
    """Read 512MB or 4GiB. Raises SettingError on any other form.

    >>> parse_bytes("4GiB")
    4294967296
    """
    from pydantic import ByteSize, TypeAdapter

    try:
        return int(TypeAdapter(ByteSize).validate_python(size))
    except ValueError as error:
        raise SettingError(
            f"--memory-budget must be a size such as 512MB or 4GiB, got {size!r}"
        ) from error


def parse_percent(text: str) -> float | None:
    """Read 85, or none. Raises SettingError on any other form.

    >>> parse_percent("85"), parse_percent("none")
    (85.0, None)
    """
    if text == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise SettingError(f"keep must be a percentage such as 85, or none; got {text!r}") from None


def check_sizes(n_layers: int, n_heads: int) -> None:
    """Raise InputError where no model has so many layers, and heads in each.

    All heads are listed in many places, so a number in a file must not decide how many there are.
    """
    if n_layers < 1 or n_heads < 1 or n_layers * n_heads > MOST_HEADS:
        raise InputError(
            f"a model has layers and heads, got {n_layers} x {n_heads}: from 1 x 1 to "
            f"{MOST_HEADS} heads in all are allowed"
        )
