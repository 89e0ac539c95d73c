"""What every command that searches for a circuit does: check, load, search, save, print."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from circuits.cli.errors import UsageError, usage_errors
from circuits.cli.inputs import ModelSource, discovery_config
from circuits.cli.progress import LOADING, show_progress
from circuits.cli.terminal import out, print_json
from circuits.cli.worker_options import asked_workers
from circuits.discovery.config import DiscoveryConfig
from circuits.errors import CircuitsError, OverwriteError, ResumeError, SaveError
from circuits.runtime.shortage import shortage
from circuits.runtime.workers import Workers, check_workers
from circuits.tasks import Task, get_task

if TYPE_CHECKING:
    from rich.console import RenderableType

    from circuits.circuit import Circuit

Report = dict[str, Any]


@runtime_checkable
class Saveable(Protocol):
    """What a search found."""

    def save(self, directory: str | Path, *, overwrite: bool = False) -> None:
        """Write it."""


Found = TypeVar("Found", bound=Saveable)


@dataclass(frozen=True)
class Asked:
    """What was asked for on the command line; None leaves a setting to the library."""

    task: str
    options: Mapping[str, Any]
    usual_method: str = "in-context"

    @property
    def directory(self) -> Path | None:
        """Where to save the run, and to keep what is known."""
        return self.options["out"]

    @property
    def resume(self) -> bool:
        """Whether the directory must hold a begun run."""
        return self.options["resume"]

    @property
    def overwrite(self) -> bool:
        """Whether what the directory holds of something else is replaced."""
        return self.options["overwrite"]

    def source(self) -> ModelSource:
        """The model to load."""
        return ModelSource(*(self.options[n] for n in ("model", "device", "dtype", "threads")))

    def workers(self, executor: str | None, count: int | None) -> Workers | None:
        """Who takes part, where anyone is asked for. Raises UsageError, ExecutorError."""
        with usage_errors():
            own = self.options["threads"], self.options["device"]
            found = asked_workers(executor, count, *own)
            check_workers(found, self.directory)
        return found

    def config(self) -> DiscoveryConfig:
        """The settings. Raises UsageError."""
        with usage_errors():
            return discovery_config(self.options, self.usual_method)


@dataclass(frozen=True)
class Shown:
    """How a result is shown.

    Attributes:
        stages: Names of the stages of the search.
        circuit: The circuit of a result.
        report: A result, and where it was saved, as plain data.
        table: A result as tables.

    """

    stages: Sequence[str]
    circuit: Callable[[Any], Circuit]
    report: Callable[[Any, Path | None], Report]
    table: Callable[[Any], RenderableType]


def check_asked(asked: Asked) -> Task:
    """The task; whatever can be wrong is refused before anything heavy is imported."""
    with usage_errors():
        task = get_task(asked.task)
        asked.source().check()
        if asked.resume and asked.directory is None:
            raise UsageError(
                "--resume needs the directory of the run to go on with: add --out DIRECTORY, "
                "or leave --resume out to begin a run"
            )
    return task


def carry_out(
    asked: Asked,
    task: Task,
    search: Callable[..., Found],
    shown: Shown,
    check_begun: Callable[[Path | None], None],
    is_begun: Callable[[Path], bool],
) -> None:
    """Load, search, save and print; `search` is one of the library's, with its own settings."""
    from circuits.cli.outputs import going_on, output_directory
    from circuits.runtime.lock import only_user

    directory = asked.directory
    if asked.resume:
        with usage_errors():
            check_begun(directory)
    with output_directory(directory), only_user(directory), going_on(directory, is_begun):
        found = _found(asked, task, search, shown.stages)
        problem = None if directory is None else _save(found, directory, asked.overwrite)
    _print(asked, task, found, shown, problem)


def carry_out_one(asked: Asked, task: Task, search: Callable[..., Found], shown: Shown) -> None:
    """`carry_out` of a search whose directory holds one run."""
    from circuits.discovery.kept import check_begun, is_begun

    carry_out(asked, task, search, shown, check_begun, is_begun)


def _found(asked: Asked, task: Task, search: Callable[..., Found], stages: Sequence[str]) -> Found:
    with show_progress((LOADING, *stages)) as progress:
        bridge = asked.source().load(progress)
        try:
            return search(
                bridge,
                task,
                directory=asked.directory,
                progress=progress,
                resume=asked.resume,
                overwrite=asked.overwrite,
            )
        except (OverwriteError, ResumeError) as error:
            raise UsageError(str(error)) from error


def _save(found: Saveable, directory: Path, overwrite: bool) -> Exception | None:
    from circuits.cli.outputs import uninterrupted

    try:
        with uninterrupted():
            found.save(directory, overwrite=overwrite)
    except (OSError, CircuitsError) as error:
        return error
    return None


def _print(asked: Asked, task: Task, found: Any, shown: Shown, problem: Exception | None) -> None:
    from circuits.cli.tables.discovery import where_saved

    directory, as_json = asked.directory, asked.options["json"]
    if as_json:
        print_json(shown.report(found, None if problem else directory))
    else:
        out.print(shown.table(found))
    if problem:
        if not as_json:
            print_json(shown.circuit(found).to_dict())
        raise SaveError(
            f"the run could not be saved to {directory} ({_reason(problem, directory)}); "
            "its circuit is on stdout as JSON"
        ) from problem
    if not as_json:
        out.print(where_saved(directory, task.name))


def _reason(problem: Exception, directory: Path | None) -> str:
    told = shortage(problem, directory)
    if told is not None:
        return str(told)
    return (isinstance(problem, OSError) and problem.strerror) or str(problem)
