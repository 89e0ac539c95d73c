"""Searches that start from one sweep: each is charged with it, and none with another's paths."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from circuits import Discovery, discover_grid
from circuits.discover import run_discovery
from circuits.discovery.config import DiscoveryConfig
from circuits.forward import TransformerBridge
from circuits.runtime.cost import Cost
from circuits.studies.grid import PUBLISHED_MIN_EFFECTS, PUBLISHED_THRESHOLDS, Grid
from circuits.tasks import Task

T = TypeVar("T")


@dataclass(frozen=True)
class Profile:
    """FLOPs of a search by what they were spent on, its seconds, and the memory of the process."""

    flops: dict[str, int]
    seconds: float
    peak_memory_bytes: int

    @property
    def total(self) -> int:
        return sum(self.flops.values())

    @property
    def search(self) -> int:
        """All but evaluating what was found."""
        return self.total - self.flops["evaluation"]


@dataclass(frozen=True)
class Searches:
    """A search without verification, kept on disk, and those that go on from its sweep."""

    bridge: TransformerBridge
    task: Task
    config: DiscoveryConfig
    directory: Path
    swept: Discovery

    @classmethod
    @contextmanager
    def begun(
        cls, bridge: TransformerBridge, task: Task, config: DiscoveryConfig
    ) -> Iterator[Searches]:
        """Prune and sweep; what was computed is gone at the end of the `with`."""
        with tempfile.TemporaryDirectory() as name:
            unverified = replace(config, verify=False)
            swept = run_discovery(bridge, task, unverified, directory=name)
            yield cls(bridge, task, config, Path(name), swept)

    @cached_property
    def verified(self) -> Discovery:
        """The default search."""
        return self._discover(self.config)

    @cached_property
    def widest(self) -> Discovery:
        """A search by the rule of the published grid that keeps most."""
        widest = replace(
            self.config.selection,
            threshold=min(PUBLISHED_THRESHOLDS),
            min_effect=min(PUBLISHED_MIN_EFFECTS),
        )
        return self._discover(replace(self.config, selection=widest))

    @cached_property
    def grid(self) -> Grid:
        """The published grid."""
        return self._after_sweep(
            lambda where: discover_grid(self.bridge, self.task, config=self.config, directory=where)
        )

    def profile(self, later: Cost | None = None) -> Profile:
        """What the sweep's own search took, or one that went on from it would have taken alone."""
        first = {stage.stage: stage for stage in self.swept.cost.stages}
        flops = {name: stage.flops for name, stage in first.items()}
        flops["sweep"], seconds = flops.pop("patching"), self.swept.cost.seconds
        flops["verification"], memory = 0, self.swept.cost.peak_memory_bytes
        if later is not None:
            verification, evaluation = later.of("patching"), later.of("evaluation")
            flops["verification"], flops["evaluation"] = verification.flops, evaluation.flops
            seconds += verification.seconds + evaluation.seconds - first["evaluation"].seconds
            memory = later.peak_memory_bytes
        return Profile(flops, seconds, memory)

    def _discover(self, config: DiscoveryConfig) -> Discovery:
        return self._after_sweep(
            lambda where: run_discovery(self.bridge, self.task, config, directory=where)
        )

    def _after_sweep(self, search: Callable[[Path], T]) -> T:
        with tempfile.TemporaryDirectory() as name:
            shutil.copytree(self.directory, name, dirs_exist_ok=True)
            return search(Path(name))


def row_of(found: Discovery, profile: Profile) -> dict[str, Any]:
    """The figures of one search."""
    return {
        "candidates": len(found.candidates),
        "heads": len(found.circuit),
        "edges": len(found.circuit.edges),
        "performance": found.performance,
        "flops": profile.flops,
        "seconds": profile.seconds,
        "peak_memory_bytes": profile.peak_memory_bytes,
        "verification": None if found.verification is None else asdict(found.verification),
    }


def grid_row(searches: Searches) -> dict[str, Any]:
    """The published grid against one run of its widest rule, evaluation of the circuits aside."""
    grid, widest = searches.grid, searches.widest
    return {
        "n_prompts": searches.config.n_prompts,
        "forward_pass_flops": grid.cost.forward_pass_flops,
        "widest_flops": searches.profile(widest.cost).search,
        "grid_flops": searches.profile(grid.cost).search,
        "evaluation_flops": grid.cost.of("evaluation").flops,
        "points": [
            {
                "threshold": point.selection.threshold,
                "min_effect": point.selection.min_effect,
                "heads": len(point.circuit),
                "performance": point.performance,
                "pareto": point in grid.pareto,
                "chosen": point == grid.chosen,
            }
            for point in grid.points
        ],
    }
