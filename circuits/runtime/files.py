"""Files written whole or not at all, also several at once; directories that are not left empty."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from circuits.runtime.reading import read_file

_PARTIAL = re.compile(r"\.(.+)\.[0-9a-f]{16}\.partial")
_PLAN = "replacing"
_FRESH_SECONDS = 60
"""A file so young may be that of a process that has not yet locked it."""


class DamagedFileWarning(UserWarning):
    """Something that was kept on the disk is damaged, and is left out and computed again.

    >>> import warnings
    >>> warnings.simplefilter("error", DamagedFileWarning)  # to stop there instead
    """


def write_atomically(files: Mapping[Path, bytes]) -> None:
    """Replace a file, or several of one directory: all of them or none, however the process ends.

    They are written beside their targets. Of several a plan is written, too, before the first is
    renamed into place: `settle` carries it out, here or after the process was killed.
    """
    for directory in {path.parent for path in files}:
        settle(directory)
    _remove_leftovers(files)
    with ExitStack() as stack:
        staged = {path: _stage(path, content, stack) for path, content in files.items()}
        if len(staged) == 1:
            ((path, partial),) = staged.items()
            partial.replace(path)
            return
        (directory,) = {path.parent for path in staged}
        names = {path.name: partial.name for path, partial in staged.items()}
        plan = directory / f".{_PLAN}.{secrets.token_hex(8)}.json"
        stack.callback(settle, directory)
        write_atomically({plan: json.dumps(names).encode()})
        settle(directory)


def settle(directory: Path) -> None:
    """Finish replacing several files at once, where a process was killed in the middle of it."""
    for plan in sorted(directory.glob(f".{_PLAN}.*.json")):
        for name, partial in _planned(plan).items():
            # Another process may be doing the same.
            with suppress(FileNotFoundError):
                (directory / partial).replace(directory / name)
        plan.unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """Write a file that a user names: whole or not at all, and where a link leads.

    What is no regular file (a device, a pipe) is written into, and so is an open file of a process
    such as /dev/stdout.
    """
    if is_written_into(path):
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND), "wb") as file:
            file.write(content)
    else:
        write_atomically({Path(os.path.realpath(path)): content})


def check_writable(path: Path) -> None:
    """Raise OSError where `write_file` could not write: a name too long, or a directory closed."""
    if is_written_into(path):
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return
    with ExitStack() as stack:
        _stage(Path(os.path.realpath(path)), b"", stack)


def is_written_into(path: Path) -> bool:
    """Whether a path is something that cannot be replaced by a file."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    is_open_file = path.is_symlink() and path.absolute().parts[1] in ("dev", "proc")
    return is_open_file or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


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


def _stage(path: Path, content: bytes, stack: ExitStack) -> Path:
    """Write beside the target, under a lock that lasts as long as the process, or the stack."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    stack.callback(partial.unlink, missing_ok=True)
    # The mode follows the umask.
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    file = stack.enter_context(os.fdopen(descriptor, "wb"))
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with naming(path):
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    return partial


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of an open file say which it is, as those of opening one do.

    >>> with naming(Path("run.json")):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'run.json'
    """
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def _remove_leftovers(files: Mapping[Path, bytes]) -> None:
    """Remove what processes that were killed had written beside the same targets."""
    names = {(path.parent, path.name) for path in files}
    for directory in {path.parent for path in files}:
        for partial in directory.glob(".*.partial"):
            found = _PARTIAL.fullmatch(partial.name)
            if found and (directory, found[1]) in names and _is_abandoned(partial):
                partial.unlink(missing_ok=True)


def _is_abandoned(partial: Path) -> bool:
    try:
        with partial.open("rb") as file:
            if time.time() - os.fstat(file.fileno()).st_mtime < _FRESH_SECONDS:
                return False
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _planned(plan: Path) -> dict[str, str]:
    """Targets, and what is written beside each; nothing that no plan of ours can say."""
    try:
        names = json.loads(read_file(plan))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(names, dict):
        return {}
    return {
        name: partial
        for name, partial in names.items()
        if isinstance(partial, str)
        and (found := _PARTIAL.fullmatch(partial))
        and found[1] == name
        and Path(name).name == name
    }
