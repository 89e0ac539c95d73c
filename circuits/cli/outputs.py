"""The output directory: checked before the work, complete or absent after it."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from circuits.cli.errors import UsageError
from circuits.cli.terminal import print_note
from circuits.errors import shortened
from circuits.runtime.files import check_writable, made_directory, write_file
from circuits.runtime.shortage import shortage

_LONGEST_NAME = 200


@contextmanager
def output_directory(directory: Path | None) -> Iterator[None]:
    """Create a directory that can be written to; remove what stays empty of it in the end.

    Raises UsageError where that cannot be.
    """
    if directory is None:
        yield
        return
    with ExitStack() as made:
        try:
            if directory.exists() and not directory.is_dir():
                raise UsageError(
                    f"--out {directory} is a file: name a directory to write the run to"
                )
            made.enter_context(made_directory(directory))
            with tempfile.TemporaryFile(dir=directory):
                pass
        except OSError as error:
            raise UsageError(
                f"--out {shortened(str(directory), _LONGEST_NAME)} cannot be written to "
                f"({error.strerror}): name another directory"
            ) from error
        yield


def check_output_file(path: Path | None, option: str = "--out") -> None:
    """Refuse, before the work, a file that cannot be written. Raises UsageError."""
    if path is None:
        return
    try:
        if path.is_dir():
            raise UsageError(f"{option} {path} is a directory: name a file in it")
        if not path.parent.is_dir():
            raise UsageError(f"{option} {path}: there is no directory {path.parent}")
        check_writable(path)
    except OSError as error:
        raise UsageError(
            f"{option} {shortened(str(path), _LONGEST_NAME)} cannot be written ({error.strerror}): "
            "name another file"
        ) from error


def write_output(path: Path, content: bytes, option: str = "--out") -> None:
    """Write a file whole or not at all. Raises UsageError, NotEnoughSpaceError."""
    try:
        write_file(path, content)
    except OSError as error:
        if (told := shortage(error, path)) is not None:
            raise told from error
        raise UsageError(f"{option} {path} cannot be written ({error.strerror})") from error


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the `with` has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


@contextmanager
def going_on(directory: Path | None, is_begun: Callable[[Path], bool]) -> Iterator[None]:
    """Ctrl-C inside the `with` tells how to go on, where something was kept to go on from."""
    try:
        yield
    except KeyboardInterrupt:
        if directory is not None and is_begun(directory):
            print_note(f"{directory} keeps what is done; the same command again goes on from there")
        raise
