"""A job as a worker gets it: threads, warnings, what it says on the way, and what it sends back."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuits.runtime.files import write_atomically
from circuits.runtime.progress import Progress
from circuits.runtime.reading import read_text

_SECONDS_BETWEEN = 1.0
_OUR_PACKAGES = ("circuits", "tasks")
_alone = threading.Lock()


@dataclass(frozen=True)
class Returned:
    """What a worker sends back; that of a job which failed, too."""

    result: Any
    error: Exception | None
    warnings: tuple[tuple[type[Warning], str], ...]


@dataclass(frozen=True)
class Call:
    """A job as a worker gets it."""

    job: Callable[[Progress], Any]
    report: Path
    threads: int | None
    device: str | None
    asking: int

    def __call__(self) -> Returned:
        # Jobs of one process share a model, and its hooks, however many threads it has.
        with _alone:
            return self._here() if os.getpid() == self.asking else self._elsewhere()

    def _elsewhere(self) -> Returned:
        from circuits.runtime.threads import use_threads
        from circuits.runtime.usual_device import use_device

        use_device(self.device)
        if self.threads is not None:
            use_threads(self.threads)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            returned = self._here()
        ours = {(one.category, str(one.message)): None for one in caught if _is_ours(one.category)}
        return Returned(returned.result, returned.error, tuple(ours))

    def _here(self) -> Returned:
        """Threads and the filters of warnings are those of whoever asks."""
        try:
            return Returned(self.job(Progress(_Report(self.report), name="job")), None, ())
        except Exception as error:
            return Returned(None, error, ())


class _Report:
    """Writes down how far a job is, at most once in a second."""

    def __init__(self, path: Path) -> None:
        self._path, self._told = path, 0.0

    def __call__(self, stage: str, fraction: float) -> None:
        now = time.monotonic()
        if now - self._told >= _SECONDS_BETWEEN:
            self._told = now
            # Nothing is lost where it cannot be written, or nobody asks any more.
            with suppress(OSError):
                write_atomically({self._path: str(fraction).encode()})


def read_report(path: Path) -> float:
    try:
        return min(1.0, max(0.0, float(read_text(path))))
    except (OSError, ValueError):
        return 0.0


def _is_ours(category: type[Warning]) -> bool:
    return category.__module__.partition(".")[0] in _OUR_PACKAGES
