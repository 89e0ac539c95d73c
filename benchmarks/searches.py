"""Searches that start from one sweep: each is charged with it, and none with another's paths."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from circuits import Discovery, SelectionRule, discover_circuit, discover_grid
from circuits.config import DiscoveryConfig, Method
from circuits.cost import Cost
from circuits.grid import PUBLISHED_MIN_EFFECTS, PUBLISHED_THRESHOLDS, Grid
from circuits.model import TransformerBridge

WIDEST = SelectionRule(threshold=min(PUBLISHED_THRESHOLDS), min_effect=min(PUBLISHED_MIN_EFFECTS))
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
    task: str
    config: DiscoveryConfig
    directory: Path
    swept: Discovery

    @classmethod
    @contextmanager
    def begun(
        cls, bridge: TransformerBridge, task: str, method: Method, n_prompts: int
    ) -> Iterator[Searches]:
        """Prune and sweep; what was computed is gone at the end of the `with`."""
        config = DiscoveryConfig(method=method, n_prompts=n_prompts)
        with tempfile.TemporaryDirectory() as name:
            swept = discover_circuit(
                bridge, task, method=method, n_prompts=n_prompts, verify=False, directory=name
            )
            yield cls(bridge, task, config, Path(name), swept)

    @cached_property
    def verified(self) -> Discovery:
        """The default search."""
        return self._after_sweep(self._discover)

    @cached_property
    def widest(self) -> Discovery:
        """A search by the rule of the published grid that keeps most."""
        return self._after_sweep(lambda where: self._discover(where, WIDEST))

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

    def _discover(self, where: Path, selection: SelectionRule | None = None) -> Discovery:
        return discover_circuit(
            self.bridge,
            self.task,
            method=self.config.method,
            n_prompts=self.config.n_prompts,
            selection=selection,
            directory=where,
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
