"""Jobs in processes of this machine: each has one at a time, and the loss of one costs no other."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from circuits.errors import ExecutorError, LostWorkerError
from circuits.runtime.executors import Wanted
from circuits.runtime.threads import usable_cores

_SERVE = "import sys; from circuits.runtime.processes import serve; serve(int(sys.argv[1]))"
_PACKAGES = str(Path(__file__).parents[2])


class Processes(Executor):
    """Runs calls in a fixed number of processes, which are started when there is work for them.

    They import what a call needs, and nothing of the script that began them. A process that dies
    is replaced, and its call raises LostWorkerError.

    >>> with Processes(2) as executor:
    ...     executor.submit(divmod, 7, 2).result()
    (3, 1)
    """

    def __init__(self, count: int) -> None:
        """Have so many at most."""
        self._threads = ThreadPoolExecutor(count)
        self._idle: SimpleQueue[_Process | None] = SimpleQueue()
        self._alive: set[_Process] = set()
        self._is_shut = False
        for _ in range(count):
            self._idle.put(None)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call that pickles; so must what it returns or raises."""
        return self._threads.submit(self._run, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End all processes; without `wait` at once, whatever they are at."""
        if not wait:
            self._is_shut = True
            self._end()
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        self._end()

    def _run(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        process = self._idle.get()
        try:
            if process is None:
                process = _Process()
                self._alive.add(process)
            if self._is_shut:
                process.kill()
            has_returned, found = process.call(pickle.dumps((fn, args, kwargs)))
        except LostWorkerError:
            self._alive.discard(process)  # type: ignore[arg-type]
            process = None
            raise
        finally:
            self._idle.put(process)
        if has_returned:
            return found
        raise found

    def _end(self) -> None:
        for process in list(self._alive):
            process.kill()


class _Process:
    """A Python that answers one call after the other."""

    def __init__(self) -> None:
        self._pipe, theirs = Pipe()
        path = [_PACKAGES, *(place for place in sys.path if place)]
        # The working directory is no place to import from, unless this process does.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _SERVE, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(path))},
        )
        theirs.close()

    def call(self, pickled: bytes) -> tuple[bool, Any]:
        """Whether it returned, and what it returned or raised. Raises LostWorkerError."""
        try:
            self._pipe.send_bytes(pickled)
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise LostWorkerError(f"a process of this machine {self._end()}") from error

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _end(self) -> str:
        self._pipe.close()
        code = self._process.wait()
        if code >= 0:
            return f"ended with exit code {code}"
        killed = f"was ended by {signal.Signals(-code).name}"
        is_memory = -code == signal.SIGKILL
        return f"{killed}, perhaps for want of memory" if is_memory else killed


def serve(descriptor: int) -> None:
    """Answer calls until nobody is left to ask."""
    # Ctrl-C is for the process that began this one, which ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe = Connection(descriptor)
    with suppress(EOFError, OSError):
        while True:
            pipe.send_bytes(_answer(pipe.recv_bytes()))


def _answer(pickled: bytes) -> bytes:
    try:
        fn, args, kwargs = pickle.loads(pickled)
        return pickle.dumps((True, fn(*args, **kwargs)))
    except Exception as error:
        with suppress(Exception):
            again = pickle.dumps((False, error))
            pickle.loads(again)
            return again
        return pickle.dumps((False, ExecutorError(f"{type(error).__name__}: {error}")))


class _OnProcesses:
    name = "processes"
    description = "processes of this machine, one for each core"

    def usual_count(self) -> int:
        """The cores that this process may use."""
        return usable_cores()

    def check(self, options: Mapping[str, Any]) -> None:
        """Raise ExecutorError for any option."""
        if options:
            raise ExecutorError(
                f"processes take no options, got {', '.join(options)}: leave it out, or name the "
                "executor that it is for"
            )

    def open(self, wanted: Wanted) -> Executor:
        """So many processes."""
        return Processes(wanted.count)


PROCESSES = _OnProcesses()
