"""The parts of one computation, shared out among workers.

A part is a function of data alone that gives tensors. How a computation is parted does not depend
on who takes part in it, so that any number of workers gives the same result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from torch import Tensor
from xxhash import xxh3_128_hexdigest

from circuits.runtime.cost import FlopCounter
from circuits.runtime.files import made_directory
from circuits.runtime.progress import SILENT, Progress
from circuits.runtime.tensor_files import KeptTensors
from circuits.runtime.workers import Workers, check_workers

_PARTS = "parts"
Made = TypeVar("Made")


@runtime_checkable
class Part(Protocol):
    """A part of a computation; it pickles."""

    @property
    def key(self) -> Mapping[str, Any]:
        """All that its tensors depend on, as plain data."""
        ...

    def __call__(self, progress: Progress) -> dict[str, Tensor]:
        """Compute it, wherever this is."""
        ...


@dataclass(eq=False)
class Sharing:
    """Workers that stay for several computations, and where what they find is kept.

    Attributes:
        workers: Who take part.
        directory: Each part that is done is a file in `parts` there.
        on_flops: Hears of the FLOPs that a worker has taken for a part.

    """

    workers: Workers
    directory: Path
    on_flops: Callable[[int], None] = lambda flops: None

    def run(self, parts: Sequence[Part], progress: Progress = SILENT) -> list[dict[str, Tensor]]:
        """The tensors of each part, in their order; none that is kept is computed again.

        Raises:
            LostWorkerError: The workers of a part were lost too often.
            ExecutorError: The executor cannot be used.

        """
        found = {number: known for number, part in enumerate(parts) if (known := self._kept(part))}
        jobs = {
            f"part {number + 1} of {len(parts)}": PartJob(part)
            for number, part in enumerate(parts)
            if number not in found
        }
        numbers = dict(zip(jobs, (n for n in range(len(parts)) if n not in found), strict=True))
        for ended in self.workers.run(jobs, self.directory, progress):
            tensors, flops = ended.value
            number = numbers[ended.name]
            found[number] = tensors
            self._place(parts[number]).parent.mkdir(exist_ok=True)
            KeptTensors(_key(parts[number]), "", tensors).write(self._place(parts[number]))
            self.on_flops(flops)
        return [found[number] for number in range(len(parts))]

    def forget(self, parts: Sequence[Part]) -> None:
        """Delete the files of parts: the whole is kept elsewhere."""
        for part in parts:
            self._place(part).unlink(missing_ok=True)
        # Where parts of something else are kept, they stay.
        with suppress(OSError):
            (self.directory / _PARTS).rmdir()

    def _kept(self, part: Part) -> dict[str, Tensor] | None:
        kept = KeptTensors.read(self._place(part))
        return kept.tensors if kept is not None and kept.key == _key(part) else None

    def _place(self, part: Part) -> Path:
        return self.directory / _PARTS / f"{xxh3_128_hexdigest(_key(part).encode())}.safetensors"


@dataclass(frozen=True)
class PartJob:
    """A part as a job, which says what it took."""

    part: Part

    def __call__(self, progress: Progress) -> tuple[dict[str, Tensor], int]:
        """Its tensors, ready to be sent, and the FLOPs."""
        with FlopCounter() as counter:
            tensors = self.part(progress)
        return {name: t.detach().cpu().contiguous() for name, t in tensors.items()}, counter.flops


@contextmanager
def shared(workers: Workers | None, directory: Path | None) -> Iterator[Sharing | None]:
    """Have workers stay while the `with` runs; None where none are asked for.

    Raises SettingError where they have no directory, ExecutorError where they cannot be had.
    """
    check_workers(workers, directory)
    if workers is None or directory is None:
        yield None
        return
    with made_directory(directory), workers.staying(directory) as staying:
        yield Sharing(staying, directory)


def last_used(key: str, make: Callable[[], Made]) -> Made:
    """What a worker made for its last part, where this one asks for the same."""
    if key not in _last:
        _last.clear()
        _last[key] = make()
    return _last[key]


_last: dict[str, Any] = {}


def _key(part: Part) -> str:
    return json.dumps(part.key, sort_keys=True)
