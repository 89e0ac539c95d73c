"""The commands that search for a circuit: what they share, `discover` and `grid`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from rich.console import RenderableType

from circuits.circuit import Circuit
from circuits.cli import points, reports, tables
from circuits.cli.actions import ModelSource, discovery_config
from circuits.cli.console import out, print_json
from circuits.cli.errors import SaveError, UsageError, usage_errors
from circuits.cli.progress import LOADING, show_progress
from circuits.cli.saving import going_on, output_directory, uninterrupted
from circuits.discover import run_discovery
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.result import Discovery
from circuits.discovery.run import STAGES
from circuits.discovery.session import check_begun, is_begun
from circuits.errors import ResumeError
from circuits.forward import TransformerBridge
from circuits.runtime.progress import Progress
from circuits.studies.grid import Grid, discover_grid, grid_rules
from circuits.tasks import Task, get_task


@dataclass(frozen=True)
class Asked:
    """What was asked for on the command line; None leaves a setting to the library."""

    task: str
    options: Mapping[str, Any]

    @property
    def directory(self) -> Path | None:
        """Where to save the run, and to keep what is known."""
        return self.options["out"]

    @property
    def resume(self) -> bool:
        """Whether the directory must hold a begun run."""
        return self.options["resume"]

    def source(self) -> ModelSource:
        """The model to load."""
        return ModelSource(*(self.options[n] for n in ("model", "device", "dtype", "threads")))

    def config(self) -> DiscoveryConfig:
        """The settings. Raises ValueError."""
        return discovery_config(self.options)


@dataclass(frozen=True)
class Search:
    """What a search is run with."""

    bridge: TransformerBridge
    task: Task
    progress: Progress


@runtime_checkable
class Saveable(Protocol):
    """What a search found."""

    def save(self, directory: str | Path) -> None:
        """Write it."""


Found = TypeVar("Found", bound=Saveable)


def discover(asked: Asked) -> None:
    """Find one circuit."""
    with usage_errors():
        config = asked.config()

    def run(search: Search) -> Discovery:
        return run_discovery(
            search.bridge,
            search.task,
            config,
            search.progress,
            asked.directory,
            resume=asked.resume,
        )

    carry_out(asked, STAGES, run, lambda found: found.circuit, reports.discovery, tables.discovery)


def grid(asked: Asked, thresholds: str, min_effects: str, keep: float) -> None:
    """Find a circuit for every combination of thresholds."""
    with usage_errors():
        config = asked.config()
        varied = _numbers("--thresholds", thresholds), _numbers("--min-effects", min_effects)
        grid_rules(config, *varied, keep)

    def run(search: Search) -> Grid:
        return discover_grid(
            search.bridge,
            search.task,
            thresholds=varied[0],
            min_effects=varied[1],
            keep=keep,
            config=config,
            directory=asked.directory,
            progress=search.progress,
            resume=asked.resume,
        )

    carry_out(asked, STAGES, run, lambda found: found.found.circuit, reports.grid, points.grid)


def carry_out(
    asked: Asked,
    stages: Sequence[str],
    run: Callable[[Search], Found],
    circuit: Callable[[Found], Circuit],
    report: Callable[[Found, Path | None], reports.Report],
    table: Callable[[Found], RenderableType],
    check_begun: Callable[[Path | None], None] = check_begun,
    is_begun: Callable[[Path], bool] = is_begun,
) -> None:
    """Check what else can be wrong; then load, search, save and print."""
    directory = asked.directory
    with usage_errors():
        task = get_task(asked.task)
        if asked.resume and directory is None:
            raise UsageError(
                "--resume needs the directory of the run to go on with: add --out DIRECTORY, "
                "or leave --resume out to begin a run"
            )
        if asked.resume:
            check_begun(directory)
    with output_directory(directory), going_on(directory, is_begun):
        with show_progress((LOADING, *stages)) as progress:
            found = _found(run, Search(asked.source().load(progress), task, progress))
        problem = None if directory is None else _save(found, directory)
    as_json = asked.options["json"]
    if as_json:
        print_json(report(found, None if problem else directory))
    else:
        out.print(table(found))
    if problem:
        if not as_json:
            print_json(circuit(found).to_dict())
        raise SaveError(
            f"the run could not be saved to {directory} ({problem.strerror or problem}); "
            "its circuit is on stdout as JSON"
        )
    if not as_json:
        out.print(tables.where_saved(directory, task.name))


def _found(run: Callable[[Search], Found], search: Search) -> Found:
    try:
        return run(search)
    except ResumeError as error:
        raise UsageError(str(error)) from error


def _save(found: Saveable, directory: Path) -> OSError | None:
    try:
        with uninterrupted():
            found.save(directory)
    except OSError as error:
        return error
    return None


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"{option} must be numbers separated by commas, such as 1,1.5,2, got {text!r}"
        ) from error
