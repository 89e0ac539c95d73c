"""Many selection rules on the same effects: a circuit for each, for little more than one costs.

The published search (APP, arXiv 2511.05442, section 4) runs path patching for every combination of
4 thresholds and 4 smallest effects, and takes the smallest circuit that keeps 75 % of performance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from circuits.circuit import Circuit
from circuits.config import DiscoveryConfig
from circuits.cost import Cost
from circuits.model import TransformerBridge
from circuits.result import Discovery
from circuits.run import Announce, Progress, Run
from circuits.search import SelectionRule
from circuits.setting import Setting
from tasks import Task, get_task

PUBLISHED_THRESHOLDS = (1.0, 1.5, 2.0, 2.5)
PUBLISHED_MIN_EFFECTS = (0.001, 0.002, 0.01, 0.02)


@dataclass(frozen=True)
class GridPoint:
    """One selection rule, the circuit it grows, and the percent of performance that it keeps."""

    selection: SelectionRule
    circuit: Circuit
    performance: float


@dataclass(frozen=True)
class Grid:
    """The circuits of several selection rules.

    Attributes:
        points: One for each rule, in the order of the rules.
        keep: Percent of performance that a circuit is asked to keep.
        found: The chosen circuit as a discovery; where none keeps enough, the best one.
        cost: Cost of the whole grid.

    """

    points: tuple[GridPoint, ...]
    keep: float
    found: Discovery
    cost: Cost

    @property
    def chosen(self) -> GridPoint | None:
        """The smallest circuit that keeps enough, of those the best; None where none does."""
        return choose(self.points, self.keep)

    @property
    def pareto(self) -> tuple[GridPoint, ...]:
        """The circuits that no other one beats in size without losing to it in performance."""
        return tuple(point for point in self.points if not _is_beaten(point, self.points))


def discover_grid(
    model: TransformerBridge,
    task: str | Task,
    *,
    thresholds: Sequence[float] = PUBLISHED_THRESHOLDS,
    min_effects: Sequence[float] = PUBLISHED_MIN_EFFECTS,
    keep: float = 75.0,
    config: DiscoveryConfig | None = None,
    directory: str | Path | None = None,
    progress: Progress = lambda stage, fraction: None,
    announce: Announce = lambda line: None,
    resume: bool = False,
) -> Grid:
    """Grow a circuit for every combination of threshold and smallest effect.

    Args:
        model: A TransformerBridge, from `load_model` or your own.
        task: A task's name, or a Task.
        thresholds: Standard deviations by which an effect must stand out.
        min_effects: Effects that a receiver must exceed to keep any sender.
        keep: Percent of performance that the chosen circuit must keep.
        config: All other settings, those of `discover_circuit`.
        directory: Where effects are kept as they become known, as in `discover_circuit`.
        progress: Called with a stage's name and the fraction of it that is done.
        announce: Called with a line that says what the long part will take.
        resume: Whether `directory` must hold a begun run of this model and these prompts.

    Raises:
        ResumeError: There is no such run to resume.
        ValueError: The grid is empty, a setting is out of range, or the method patches no paths.

    """
    config = config or DiscoveryConfig()
    rules = _rules(config, thresholds, min_effects, keep)
    setting = Setting.of(model, get_task(task), config, directory, resume=resume)
    run = Run(setting, progress, announce)
    patched = run.patch(rules)
    performances = run.evaluate(patched)
    points = tuple(
        GridPoint(rule, found.circuit, performance)
        for rule, found, performance in zip(rules, patched, performances, strict=True)
    )
    point = choose(points, keep) or max(points, key=lambda p: (p.performance, -len(p.circuit)))
    best = patched[points.index(point)]
    found = run.discovery(point.selection, best, point.performance)
    return Grid(points, keep, found, run.cost)


def _rules(
    config: DiscoveryConfig, thresholds: Sequence[float], min_effects: Sequence[float], keep: float
) -> list[SelectionRule]:
    """Every combination; the lowest threshold first, whose search reaches most."""
    if not config.patches_paths:
        raise ValueError(
            f"method {config.method!r} patches no paths, so it has no thresholds to vary; "
            "use app or path-patching"
        )
    if not thresholds or not min_effects:
        raise ValueError("a grid needs at least one threshold and one smallest effect, got none")
    if not 0 < keep <= 100:
        raise ValueError(f"keep must be a percentage above 0 and at most 100, got {keep}")
    return [
        replace(config.selection, threshold=threshold, min_effect=min_effect)
        for threshold, min_effect in product(sorted(thresholds), sorted(min_effects))
    ]


def choose(points: Sequence[GridPoint], keep: float) -> GridPoint | None:
    """The smallest circuit that keeps enough performance, of those the best."""
    enough = [point for point in points if point.performance >= keep]
    return min(enough, key=lambda p: (len(p.circuit), -p.performance)) if enough else None


def _is_beaten(point: GridPoint, points: Sequence[GridPoint]) -> bool:
    mine = (len(point.circuit), -point.performance)
    others = ((len(other.circuit), -other.performance) for other in points)
    return any(a <= mine[0] and b <= mine[1] and (a, b) != mine for a, b in others)
