"""Writing files whole or not at all, and directories that are removed where they stay empty."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class DamagedFileWarning(UserWarning):
    """Something that was kept on the disk is damaged, and is left out and computed again.

    >>> import warnings
    >>> warnings.simplefilter("error", DamagedFileWarning)  # to stop there instead
    """


def write_atomically(files: Mapping[Path, bytes]) -> None:
    """Write every file beside its target, and only when all are written rename them into place."""
    staged: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            staged[path] = Path(temporary)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            staged[path].chmod(0o644)
        for path, temporary in staged.items():
            temporary.replace(path)
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)


@contextmanager
def made_directory(directory: Path) -> Iterator[None]:
    """Make a directory with its parents; in the end remove what was made and stayed empty."""
    made: list[Path] = []
    try:
        for parent in reversed([directory, *directory.parents]):
            if not parent.exists():
                parent.mkdir(exist_ok=True)
                made.insert(0, parent)
        yield
    finally:
        for one in made:
            if one.is_dir() and not any(one.iterdir()):
                one.rmdir()
