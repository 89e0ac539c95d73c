"""Jobs for other processes, and an executor that loses a worker."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from circuits.errors import InputError
from circuits.runtime.executors import Wanted
from circuits.runtime.progress import Progress
from circuits.runtime.registry import PluginWarning


@dataclass(frozen=True)
class Square:
    """Squares a number, slowly the first time; leaves a file for each time that it is begun."""

    number: int
    directory: Path
    seconds: float = 0.0

    def __call__(self, progress: Progress) -> tuple[int, int]:
        (self.directory / f"{self.number}-{os.getpid()}-{time.time_ns()}").touch()
        progress(0.5)
        time.sleep(self.seconds if self.n_begun == 1 else 0)
        return self.number**2, os.getpid()

    @property
    def n_begun(self) -> int:
        return len([*self.directory.glob(f"{self.number}-*")])


def threads_of(progress: Progress) -> int:
    import torch

    return torch.get_num_threads()


def device_of(progress: Progress) -> str:
    """Where a model is put that nobody names a device for."""
    import torch

    from circuits.model.placement import Placement

    return str(Placement.of(None, torch.float32).device)


def refuse(progress: Progress) -> None:
    raise InputError("not this one")


def warn(progress: Progress) -> None:
    warnings.warn("of few", PluginWarning, stacklevel=1)
    warnings.warn("of a library", stacklevel=1)


def die(progress: Progress) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def unpicklable(progress: Progress) -> object:
    return lambda: None


@dataclass
class LosingOne(Executor):
    """Kills the worker of the first call that has come as far as a file of this pattern."""

    inner: Executor
    directory: Path
    begun: str
    marker: Path = field(init=False)

    def __post_init__(self) -> None:
        self.marker = self.directory / "killed"

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self.inner.submit(_killed_once, self.marker, self.begun, fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.inner.shutdown(wait, cancel_futures=cancel_futures)


@dataclass
class LosingKind:
    """An entry of `EXECUTORS` that loses one worker of another one."""

    of: Any
    begun: str
    name: str = "losing"
    description: str = "another one, that loses a worker"
    opened: list[LosingOne] = field(default_factory=list)

    def usual_count(self) -> int:
        return 2

    def check(self, options: Any) -> None:
        self.of.check(options)

    def open(self, wanted: Wanted) -> Executor:
        self.opened.append(LosingOne(self.of.open(wanted), wanted.directory, self.begun))
        return self.opened[-1]


def _killed_once(
    marker: Path, begun: str, fn: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    ended = threading.Event()
    if not marker.exists():
        threading.Thread(target=_kill_when, args=(marker, begun, ended), daemon=True).start()
    try:
        return fn(*args, **kwargs)
    finally:
        ended.set()


def _kill_when(marker: Path, begun: str, ended: threading.Event) -> None:
    """Only while a call is under way: an idle worker is no loss."""
    while not [*marker.parent.glob(begun)]:
        if ended.wait(0.01):
            return
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
