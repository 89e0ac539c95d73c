"""A process of its own that runs a command line: it can be killed, and starved of disk and memory.

Everything is imported before: what is killed and starved is the command.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO

from circuits.cli import app
from tests.circuits.cli.command_line import start


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def is_told(self) -> bool:
        """Whether it failed in a sentence, and called nothing a defect."""
        said = "error: " in self.stderr and "this is a defect" not in self.stderr
        return self.code in (1, 2) and said and "Traceback" not in self.stderr


def run(
    arguments: Sequence[object],
    killed_after: float | None = None,
    before: Callable[[], object] = lambda: None,
) -> Ended:
    """Run a command in a child, which does `before` first; kill it where that is asked for.

    What it says comes through a pipe: no file of the test's own is in the way of a full disk.
    """
    reading, writing = os.pipe()

    def work() -> None:
        out, err = StringIO(), StringIO()
        try:
            with redirect_stdout(out), redirect_stderr(err):
                before()
                app([str(word) for word in arguments])
        finally:
            os.write(writing, json.dumps([out.getvalue(), err.getvalue()[-9000:]]).encode())

    began = time.monotonic()
    child = start(work)
    os.close(writing)
    if killed_after is not None:
        time.sleep(killed_after)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    status = os.waitpid(child, 0)[1]
    texts = json.loads(said) if said.endswith(b"]") else ["", ""]
    return Ended(os.waitstatus_to_exitcode(status), *texts, time.monotonic() - began)
