"""What a computation costs: FLOPs, forward passes, seconds and peak memory, by stage."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, no_type_check

import psutil
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from circuits.errors import UnknownNameError, unknown_name
from circuits.runtime.progress import SILENT, Progress

_SECONDS_BETWEEN = 1.0
try:
    import resource
except ImportError:  # Windows has none.
    resource = None


@dataclass(frozen=True)
class StageCost:
    """Cost of one stage.

    Attributes:
        stage: Name of the stage.
        flops: Floating-point operations executed, counted by `FlopCounter` (a multiplication
            and an addition count as two; matrix products and the like only).
        seconds: Wall-clock time.
        peak_memory_bytes: On a CPU the largest resident memory of the process so far, on CUDA the
            largest allocation so far.

    """

    stage: str
    flops: int
    seconds: float
    peak_memory_bytes: int


@dataclass(frozen=True)
class Cost:
    """Cost of a whole discovery; one forward pass is the model's own on its clean prompts.

    Totals are of both: a run that was cut off and went on cost what all its processes took.

    Attributes:
        stages: What the process that ended it took.
        forward_pass_flops: FLOPs of one forward pass.
        earlier: By stage, what processes before it took for the same settings in the same
            directory, which this one went on from.

    """

    stages: tuple[StageCost, ...]
    forward_pass_flops: int
    earlier: tuple[StageCost, ...] = ()

    @property
    def whole(self) -> tuple[StageCost, ...]:
        """Stages with what earlier processes took for them."""
        return added_up((*self.stages, *self.earlier))

    @property
    def flops(self) -> int:
        """FLOPs of all stages."""
        return sum(stage.flops for stage in self.whole)

    @property
    def forward_passes(self) -> float:
        """FLOPs of all stages in forward passes over the same prompts."""
        return self.flops / self.forward_pass_flops

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of all stages."""
        return sum(stage.seconds for stage in self.whole)

    @property
    def peak_memory_bytes(self) -> int:
        """Largest memory of any stage."""
        return max((stage.peak_memory_bytes for stage in self.whole), default=0)

    def of(self, stage: str) -> StageCost:
        """Cost of one stage in the last process. Raises UnknownNameError naming the stages."""
        for cost in self.stages:
            if cost.stage == stage:
                return cost
        raise UnknownNameError(unknown_name("stage", stage, (one.stage for one in self.stages)))


def added_up(costs: Iterable[StageCost]) -> tuple[StageCost, ...]:
    """One cost for each stage, in the order in which stages come first.

    >>> added_up([StageCost("a", 1, 0.5, 7), StageCost("b", 2, 1.0, 8), StageCost("a", 3, 1.0, 5)])
    (StageCost(stage='a', flops=4, seconds=1.5, peak_memory_bytes=7), StageCost(stage='b', ...))
    """
    found: dict[str, StageCost] = {}
    for cost in costs:
        other = found.get(cost.stage, StageCost(cost.stage, 0, 0.0, 0))
        memory = max(cost.peak_memory_bytes, other.peak_memory_bytes)
        sums = cost.flops + other.flops, cost.seconds + other.seconds
        found[cost.stage] = StageCost(cost.stage, *sums, memory)
    return tuple(found.values())


class FlopCounter(TorchDispatchMode):
    """Counts the FLOPs of everything that runs inside a `with`, by torch's own formulas.

    The number that torch's FlopCounterMode gives; that also looks for decompositions of every
    operation and for its module, which took up to half of the time of a search.

    Attributes:
        flops: Counted so far.

    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing is compiled here; keeping it out of that takes longer than a small operation.
        return False

    # Called for every operation: checking its types in tests would take longer than most of them.
    @no_type_check
    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run one operation, and add what it takes."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=result)
        return result


@dataclass
class CostMeter:
    """Collects the cost of stages as they run, and reports them as stages of `progress`.

    Attributes:
        progress: Hears of the stages.
        stages: What is done.
        spent: Hears of what was spent since it heard last, also of a stage that is under way.

    """

    progress: Progress = SILENT
    stages: list[StageCost] = field(default_factory=list)
    spent: Callable[[StageCost], None] = lambda cost: None
    _part: Callable[[], StageCost] | None = None
    _counter: FlopCounter | None = None
    _told: float = 0.0

    @property
    def flops_per_second(self) -> float:
        """Speed of the stages so far; 0 before the first."""
        seconds = sum(stage.seconds for stage in self.stages)
        return sum(stage.flops for stage in self.stages) / seconds if seconds else 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Measure the `with` as one stage; gives the progress within it."""
        started = told = time.perf_counter()
        counter, told_flops = FlopCounter(), 0

        def since() -> StageCost:
            nonlocal told, told_flops
            now, flops = time.perf_counter(), counter.flops
            new = StageCost(name, flops - told_flops, now - told, peak_memory())
            told, told_flops = now, flops
            return new

        part = self.progress.stage(name)
        self._part, self._counter = since, counter
        try:
            with counter:
                yield part
        finally:
            self._part = self._counter = None
            self.spent(since())
        part(1.0)
        seconds = time.perf_counter() - started
        self.stages.append(StageCost(name, counter.flops, seconds, peak_memory()))

    def add_flops(self, flops: int) -> None:
        """Count what another process has taken for the stage that is under way."""
        if self._counter is not None:
            self._counter.flops += flops

    def tell(self) -> None:
        """Let `spent` hear of the stage that is under way; at most once a second."""
        now = time.perf_counter()
        if self._part is not None and now - self._told >= _SECONDS_BETWEEN:
            self._told = now
            self.spent(self._part())


def peak_memory() -> int:
    """Largest memory used so far, in bytes: allocated on CUDA where it is in use, else resident."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    if resource is None:
        memory = psutil.Process().memory_info()
        return getattr(memory, "peak_wset", memory.rss)
    kilobytes_or_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes_or_bytes * (1 if sys.platform == "darwin" else 1024)
