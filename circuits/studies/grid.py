"""Many selection rules on the same effects: a circuit for each, for little more than one costs.

The published search (APP, arXiv 2511.05442, section 4) runs path patching for every combination of
4 thresholds and 4 smallest effects, and takes the smallest circuit that keeps 75 % of performance.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from circuits.circuit import Circuit
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.kept import Kept
from circuits.discovery.pipeline import Pipeline
from circuits.discovery.record import GRID_FILE, RECORD
from circuits.discovery.result import Discovery
from circuits.discovery.session import Session
from circuits.errors import SettingError
from circuits.forward import TransformerBridge
from circuits.runtime.cost import Cost
from circuits.runtime.progress import Progress, Stage
from circuits.runtime.workers import Workers
from circuits.search.rules import SelectionRule
from circuits.tasks import Task, get_task

PUBLISHED_THRESHOLDS = (1.0, 1.5, 2.0, 2.5)
PUBLISHED_MIN_EFFECTS = (0.001, 0.002, 0.01, 0.02)


@dataclass(frozen=True)
class GridPoint:
    """One selection rule and the circuit it grows.

    Attributes:
        selection: The rule.
        circuit: The circuit.
        performance: Percent of the full model's metric that its heads keep alone; where MLPs are
            nodes, of what corrupting every edge takes away, that its edges keep.

    >>> point = GridPoint(SelectionRule(threshold=2.0), circuit, performance=80.0)
    >>> point.to_dict()["heads"] == sorted(map(str, circuit.heads))
    True
    """

    selection: SelectionRule
    circuit: Circuit
    performance: float

    @property
    def size(self) -> int:
        """How many heads the circuit has; edges where MLPs are nodes."""
        return len(self.circuit if self.circuit.mlps == "path" else self.circuit.edges)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the rule, names of heads, number of edges, performance."""
        return {
            "rule": asdict(self.selection),
            "heads": [str(head) for head in sorted(self.circuit.heads)],
            "n_edges": len(self.circuit.edges),
            "sparsity": self.circuit.sparsity,
            "performance": self.performance,
        }


Point = TypeVar("Point", bound=GridPoint)


@dataclass(frozen=True)
class Grid:
    """The circuits of several selection rules.

    Attributes:
        points: One for each rule, in the order of the rules.
        keep: Percent of performance that a circuit is asked to keep.
        found: The chosen circuit as a discovery; where none keeps enough, the best one.
        cost: Cost of the whole grid.

    >>> small, large = Circuit.of_heads(["2.1"], 3, 4), Circuit.of_heads(["2.1", "0.0"], 3, 4)
    >>> points = GridPoint(rule, small, 70.0), GridPoint(rule, large, 80.0)
    >>> grid = Grid(points, keep=75.0, found=found, cost=found.cost)
    >>> len(grid.chosen.circuit), len(grid.pareto)  # the smallest that keeps 75 %
    (2, 2)
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
    def best(self) -> GridPoint:
        """The chosen point; where none keeps enough, the one that keeps most."""
        return best(self.points, self.keep)

    @property
    def pareto(self) -> tuple[GridPoint, ...]:
        """The circuits that no other one beats in size without losing to it in performance."""
        return pareto(self.points)

    @property
    def keeps_enough(self) -> bool:
        """Whether the circuit that was found keeps what was asked for."""
        return self.found.performance >= self.keep

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for `grid.json`."""
        return search_dict(self.points, self.best, self.keep, self.found, self.cost)

    def save(self, directory: str | Path, *, overwrite: bool = False) -> None:
        """Write the chosen run as `Discovery.save` does, and `grid.json` with it."""
        content = json.dumps(self.to_dict(), indent=1).encode()
        self.found.save(directory, {GRID_FILE: content}, overwrite=overwrite)


def discover_grid(
    model: TransformerBridge,
    task: str | Task,
    *,
    thresholds: Sequence[float] = PUBLISHED_THRESHOLDS,
    min_effects: Sequence[float] = PUBLISHED_MIN_EFFECTS,
    keep: float = 75.0,
    config: DiscoveryConfig | None = None,
    directory: str | Path | None = None,
    workers: Workers | None = None,
    progress: Progress | Stage | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> Grid:
    """Grow a circuit for every combination of threshold and smallest effect.

    Args:
        model: A TransformerBridge, from `load_model` or your own.
        task: A task's name, or a Task.
        thresholds: Standard deviations by which an effect must stand out (none for significance).
        min_effects: Effects that a receiver must exceed to keep any sender.
        keep: Percent of performance that the chosen circuit must keep.
        config: All other settings, those of `discover_circuit`; its own thresholds are not used.
        directory: Where effects are kept as they become known, as in `discover_circuit`.
        workers: Who take part (docs/workers.md); they need a directory.
        progress: A `Progress`, or a function of a stage's name and the fraction of it that is done.
        resume: Whether `directory` must hold a begun run of this model and these prompts.
        overwrite: Whether what `directory` holds of another task, model or prompts is replaced.

    Raises:
        ResumeError, OverwriteError, BusyError: `directory` holds none, or another, or is in use.
        SettingError: The grid is empty, a setting is out of range, or the method patches no paths.

    >>> quick = replace(config, verify=False)
    >>> grid = discover_grid(model, task, thresholds=(0.4, 1.0), min_effects=(0.01,), config=quick)
    >>> [point.selection.threshold for point in grid.points], grid.best in grid.points
    ([0.4, 1.0], True)
    """
    config = config or DiscoveryConfig(method="app")
    place = Kept(directory, (GRID_FILE,), resume, overwrite)
    rules = grid_rules(config, thresholds, min_effects, keep)
    with Session.at_work(model, get_task(task), config, place, workers) as session:
        run = Pipeline(session, Progress.of(progress))
        patched = run.patch(rules)
        performances = run.evaluate(patched)
    found = zip(rules, patched, performances, strict=True)
    points = tuple(GridPoint(rule, grown.circuit, kept) for rule, grown, kept in found)
    point = best(points, keep)
    chosen = run.discovery(point.selection, patched[points.index(point)], point.performance)
    return Grid(points, keep, chosen, run.cost)


def grid_rules(
    config: DiscoveryConfig, thresholds: Sequence[float], min_effects: Sequence[float], keep: float
) -> list[SelectionRule]:
    """Every combination once; the lowest threshold first, whose search reaches most.

    Raises SettingError as `discover_grid` does.
    """
    check_search(config, keep)
    if not thresholds or not min_effects:
        raise SettingError("a grid needs at least one threshold and one smallest effect, got none")
    if config.selection.tests_significance:
        thresholds = [config.selection.threshold]
    return [
        replace(config.selection, threshold=threshold, min_effect=min_effect)
        for threshold, min_effect in product(sorted(set(thresholds)), sorted(set(min_effects)))
    ]


def check_search(config: DiscoveryConfig, keep: float) -> None:
    """Raise SettingError where there is nothing to search for."""
    if config.recipe.chooses:
        raise SettingError(
            f"method {config.method!r} takes the same circuit whatever the thresholds; use app or "
            "path-patching"
        )
    if not config.patches_paths:
        raise SettingError(
            f"method {config.method!r} patches no paths, so it has no thresholds to vary; "
            "use app or path-patching"
        )
    if not 0 < keep <= 100:
        raise SettingError(f"keep must be a percentage above 0 and at most 100, got {keep}")


def choose(points: Sequence[Point], keep: float) -> Point | None:
    """The smallest circuit that keeps enough performance, of those the best."""
    enough = [point for point in points if point.performance >= keep]
    return min(enough, key=lambda p: (p.size, -p.performance)) if enough else None


def best(points: Sequence[Point], keep: float) -> Point:
    """The point that `choose` names; where none keeps enough, the one that keeps most."""
    return choose(points, keep) or max(points, key=lambda p: (p.performance, -p.size))


def pareto(points: Sequence[Point]) -> tuple[Point, ...]:
    """The circuits that no other one beats in size without losing to it in performance."""
    return tuple(point for point in points if not _is_beaten(point, points))


def search_dict(
    points: Sequence[Point], chosen: Point, keep: float, found: Discovery, cost: Cost
) -> dict[str, Any]:
    """A search and its choice as plain data."""
    front = pareto(points)
    record = RECORD.dump_python(found.record, mode="json")
    mlps = found.config.mlps
    return {
        **({} if mlps == "path" else {"mlps": mlps}),
        "keep": keep,
        "keeps_enough": found.performance >= keep,
        "points": [
            {**point.to_dict(), "pareto": point in front, "chosen": point == chosen}
            for point in points
        ],
        "provenance": record["provenance"],
        "config": record["config"],
        "cost": TypeAdapter(Cost).dump_python(cost, mode="json"),
    }


def _is_beaten(point: GridPoint, points: Sequence[GridPoint]) -> bool:
    mine = (point.size, -point.performance)
    others = ((other.size, -other.performance) for other in points)
    return any(a <= mine[0] and b <= mine[1] and (a, b) != mine for a, b in others)
