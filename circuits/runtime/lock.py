"""One user of a directory at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from circuits.errors import BusyError
from circuits.runtime.files import made_directory

LOCK_FILE = ".circuits.lock"
_held = threading.local()


@contextmanager
def only_user(directory: str | Path | None) -> Iterator[None]:
    """Keep all other processes and threads out of a directory while the `with` runs.

    It is made where there is none, and removed again where it stays empty. The lock is the
    kernel's, so that of a process that died is void. Inside the `with` it can be asked for again.

    Raises:
        BusyError: Another one is at work there.

    >>> with only_user(directory / "run"), only_user(directory / "run"):
    ...     sorted(path.name for path in (directory / "run").iterdir())
    ['.circuits.lock']
    >>> (directory / "run").exists()
    False
    """
    place = None if directory is None else Path(directory).absolute()
    held: set[tuple[int, Path]] = vars(_held).setdefault("places", set())
    if place is None or (os.getpid(), place.resolve()) in held:
        yield
        return
    with made_directory(place), _locked(place):
        # A child process is another one, even where it has its parent's memory.
        mine = os.getpid(), place.resolve()
        held.add(mine)
        try:
            yield
        finally:
            held.discard(mine)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    path = directory / LOCK_FILE
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise BusyError(
            f"another process is at work in {directory}: wait until it has ended, or name another "
            "directory"
        ) from error
    try:
        yield
    finally:
        # Held still: whoever opened the file before it is gone sees that, and makes a new one.
        path.unlink(missing_ok=True)
        lock.release()
