"""What libraries raise about files that they read, as an error of ours that names the file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from circuits.errors import CircuitsError, ModelError, cause
from circuits.runtime.reading import read_file
from circuits.runtime.shortage import shortage

_PANIC = "PanicException"
"""What a library in Rust raises where it gives up; no Exception, and nothing to import."""


@contextmanager
def told_as(
    kind: type[CircuitsError], what: str, advice: str, files: Iterable[Path] = ()
) -> Iterator[None]:
    """Raise an error of ours for whatever a library says of files that it reads inside the `with`.

    Libraries check little of what they read, so that a wrong value ends in any error at all. Put
    nothing of ours inside: its mistakes would be told as those of the files.

    Args:
        kind: What is raised.
        what: What could not be done, with the name of the file.
        advice: What to do.
        files: JSON files that were read; one that is none is what the message names.

    Raises:
        NotEnoughMemoryError, NotEnoughSpaceError: The machine had too little of it.

    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
            raise
        told = shortage(error)
        if told is not None:
            raise told from error
        if isinstance(error, CircuitsError):
            raise
        raise kind(f"{what} ({_fault(files) or cause(error)}): {advice}") from error


def check_regular(directory: Path) -> None:
    """Raise ModelError where something among a model's files is none: reading it might not end."""
    for path in directory.iterdir():
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ModelError(
                f"{path} is no regular file: give a checkpoint directory of files, as "
                "save_pretrained writes"
            )


def _fault(files: Iterable[Path]) -> str | None:
    """Which of the files is no JSON object, and where it is wrong."""
    for path in files:
        try:
            if path.is_file() and not isinstance(json.loads(read_file(path)), dict):
                return f"{path.name} is no JSON object"
        except RecursionError:
            return f"{path.name} is nested too deeply"
        except (ValueError, OSError) as error:
            return f"{path.name} is no JSON: {cause(error)}"
    return None
