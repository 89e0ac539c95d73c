"""Running the command line in this process, and seeing everything it does to what is around it."""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from circuits.cli import app

LONGEST_SECONDS = 60
"""Of processor time: a busy machine is no failure."""
_LONGEST_WAIT = 900
MOST_MEMORY = 1 << 30
_RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_RUN_OR_REACHED = {
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "os.system",
    "pickle.find_class",
    "socket.connect",
    "subprocess.Popen",
}
_CHANGED = {
    "os.chmod": 1,
    "os.link": 2,
    "os.mkdir": 1,
    "os.remove": 1,
    "os.rename": 2,
    "os.rmdir": 1,
    "os.symlink": 2,
    "os.truncate": 1,
}
"""How many of an event's first arguments are paths."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass
class _Watch:
    """What an audit hook reports while a command runs; a hook can never be removed again."""

    within: Path | None = None
    seen: list[str] = field(default_factory=list)
    is_installed: bool = False

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.within is None:
            return
        if event in _RUN_OR_REACHED:
            self.seen.append(f"{event} {arguments[:1]!r}"[:200])
        elif event == "exec":
            source = getattr(arguments[0], "co_filename", "")
            if str(source).startswith(str(self.within)):
                self.seen.append(f"code of {source} was run")
        elif event in _CHANGED:
            self._changed(event, arguments[: _CHANGED[event]])
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
            self._changed(event, arguments[:1])

    def _changed(self, event: str, paths: Sequence[Any]) -> None:
        for path in paths:
            if isinstance(path, int) or os.fspath(path) in (os.devnull, os.fsencode(os.devnull)):
                continue
            whole = os.path.normpath(Path.cwd() / os.fsdecode(path))
            if not whole.startswith(f"{self.within}{os.sep}") and whole != str(self.within):
                self.seen.append(f"{event} {whole!r}")


_WATCH = _Watch()


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    arguments: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    seen: tuple[str, ...]
    seconds: float
    grown: int

    @property
    def flaws(self) -> list[str]:
        """Everything that no input may lead to."""
        said = self.stdout + self.stderr
        # What `export` and `import` give to a pipe is a file's content, as it is.
        is_content = self.arguments[:1] in (("export",), ("import",)) and not self.code
        shown = self.stderr if is_content else said
        is_check = self.arguments[:2] == ("tasks", "check")
        found = {
            "a traceback": "Traceback (most" in said,
            "called a defect": "this is a defect" in self.stderr,
            f"exit code {self.code}": self.code not in (0, 1, 2),
            # `tasks check` prints what is wrong with the rows, and exits with 1.
            "no error told": self.code > is_check and "error: " not in self.stderr,
            "raw characters shown": _RAW.search(shown) is not None,
            f"{self.seconds:.0f} seconds": self.seconds > LONGEST_SECONDS,
            f"{self.grown >> 20} MB more": self.grown > MOST_MEMORY,
        }
        return [name for name, is_so in found.items() if is_so] + list(self.seen)


@contextmanager
def watched(within: Path) -> Iterator[list[str]]:
    """Collect what is run, reached, or changed outside a directory while the `with` runs.

    What Python compiles meanwhile it does not keep.
    """
    if not _WATCH.is_installed:
        sys.addaudithook(_WATCH.hear)
        _WATCH.is_installed = True
    _WATCH.within, _WATCH.seen = Path(within), []
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield _WATCH.seen
    finally:
        sys.dont_write_bytecode = before
        _WATCH.within = None


def outcome_of(arguments: Sequence[object], within: Path) -> Outcome:
    """Run a command line, which may write within a directory alone."""
    words = tuple(str(argument) for argument in arguments)
    started, before = time.process_time(), _peak()
    with watched(within) as seen, _interrupted():
        result = CliRunner().invoke(app, list(words))
    stopped = isinstance(result.exception, _TooLongError)
    return Outcome(
        words,
        -1 if stopped else result.exit_code,
        result.stdout,
        result.stderr,
        tuple(dict.fromkeys(seen)),
        time.process_time() - started,
        _peak() - before,
    )


class _TooLongError(BaseException):
    """A command did not end."""


@contextmanager
def _interrupted() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_LONGEST_WAIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
