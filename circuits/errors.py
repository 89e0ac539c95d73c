"""Every error that names what was wrong with what was given or found, in one tree.

The command line tells these in one sentence. Any other error that leaves it is a defect of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST_CAUSE = 200


class CircuitsError(Exception):
    """The base of every error of this package that its user can do something about."""


class InputError(CircuitsError, ValueError):
    """What was given cannot be used: out of range, malformed, or at odds with something else."""


class SettingError(InputError):
    """A setting is out of range, or one of several that do not go together."""


class UnknownNameError(InputError):
    """Nothing goes by this name."""


class MismatchError(InputError):
    """Two things do not belong together: models of other shape, other weights, other rows."""


class FormatError(InputError):
    """A file is not what it should be, and where."""


class NoEffectError(InputError):
    """Clean and corrupted metric are equal, or zero, so that nothing can be measured by them."""


class TaskError(InputError):
    """A task was asked for something that it, or the tokenizer, cannot give."""


class UncorruptedError(TaskError):
    """A pair's two prompts are the same."""


class ResumeError(InputError):
    """A run was to be gone on with that is not there, or that is about something else."""


class MissingRunError(CircuitsError, FileNotFoundError):
    """A directory holds no saved run."""


class SaveError(CircuitsError):
    """A result was computed and shown, and could not be saved."""


class PictureError(CircuitsError, RuntimeError):
    """A picture cannot be drawn on this machine."""


class ModelError(CircuitsError, RuntimeError):
    """A model cannot be loaded or used."""


class UnknownModelError(ModelError):
    """No model goes by this name, or the path holds no checkpoint."""


class DownloadError(ModelError):
    """A model could not be fetched, or what arrived is not what was published."""


class NotEnoughSpaceError(ModelError):
    """The cache's disk has too little room."""


class UnsupportedModelError(ModelError):
    """The model's architecture is one that circuits cannot be searched in."""


class ModelOptionError(ModelError, InputError):
    """A dtype or device that does not exist, or not here."""


def unknown_name(kind: str, name: str, known: Iterable[str], advice: str = "") -> str:
    """The sentence for a name that nothing goes by, with the closest one and all there are.

    >>> unknown_name("task", "greatr-than", ("ioi", "greater-than"))
    "unknown task 'greatr-than'; did you mean 'greater-than'? known tasks: ioi, greater-than"
    """
    known = tuple(known)
    close = get_close_matches(name, known, n=1)
    suggestion = f"; did you mean {close[0]!r}?" if close else ";"
    return f"unknown {kind} {name!r}{suggestion} known {plural(kind)}: {', '.join(known)}{advice}"


def plural(kind: str) -> str:
    """Several of a kind.

    >>> [plural(kind) for kind in ("task", "search", "prompts", "model with a known circuit")]
    ['tasks', 'searches', 'prompts', 'models with a known circuit']
    """
    noun, space, rest = kind.partition(" ")
    ending = "" if noun.endswith("s") else "es" if noun.endswith("ch") else "s"
    return f"{noun}{ending}{space}{rest}"


def cause(error: BaseException | str) -> str:
    """Shorten an error's message to a line that can be quoted inside another message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    shortened = text if len(text) <= _LONGEST_CAUSE else text[: _LONGEST_CAUSE - 1] + "…"
    return shortened.rstrip(".")
