"""Reading files that may be anything: only regular ones are opened, of a size that is bounded."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from circuits.errors import FormatError

LARGEST_TEXT = 2**30
"""Bytes of a file of JSON or of a table; a circuit of all edges of a large model has less."""
LARGEST_TENSORS = 2**36


def read_file(path: Path, most: int = LARGEST_TEXT) -> bytes:
    """The content of a file; a pipe or a device, which might never end, is not waited for.

    Raises:
        FormatError: It is no regular file, or has more than `most` bytes.
        OSError: It cannot be read.

    """
    # Without O_NONBLOCK opening a pipe waits for somebody to write.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(21, "Is a directory", str(path))
        if not stat.S_ISREG(found.st_mode):
            raise FormatError(f"{path} is no regular file: give one, or copy what it holds to one")
        if found.st_size > most:
            raise FormatError(
                f"{path} has {found.st_size} bytes, and at most {most} are read: it is no file of "
                "this kind, or give a part of it"
            )
        return file.read()


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The same as text. Raises as `read_file` does, and UnicodeDecodeError, a ValueError."""
    return read_file(path).decode(encoding)
