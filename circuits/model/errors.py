"""What can go wrong while a model is found, fetched and loaded."""

from __future__ import annotations

_LONGEST_CAUSE = 200


class ModelError(RuntimeError):
    """A model cannot be loaded or used; the base of every error here."""


class UnknownModelError(ModelError):
    """No model goes by this name, or the path holds no checkpoint."""


class DownloadError(ModelError):
    """A model could not be fetched, or what arrived is not what was published."""


class NotEnoughSpaceError(ModelError):
    """The cache's disk has too little room."""


class UnsupportedModelError(ModelError):
    """The model's architecture is one that circuits cannot be searched in."""


class ModelOptionError(ModelError, ValueError):
    """A dtype or device that does not exist, or not here."""


def cause(error: BaseException | str) -> str:
    """Shorten an error's message to a line that can be quoted inside another message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    shortened = text if len(text) <= _LONGEST_CAUSE else text[: _LONGEST_CAUSE - 1] + "…"
    return shortened.rstrip(".")
