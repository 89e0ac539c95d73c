"""Where a run is kept, and what may be there already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.overwriting import (
    check_run_replaceable,
    check_work_replaceable,
    question,
)
from circuits.discovery.problem import Provenance
from circuits.discovery.store import owner
from circuits.errors import InputError, ResumeError
from circuits.runtime.files import settle

WORK_DIRECTORY = "work"


@dataclass(frozen=True)
class Kept:
    """Where a run is saved, and effects are kept as they become known.

    Attributes:
        directory: Of the run; None: nowhere.
        beside: Names of the files that are saved with it.
        resume: Whether it must hold a begun run of just this.
        overwrite: Whether what it holds of another task, model or prompts is replaced.

    Raises:
        InputError: The directory's name is empty.

    >>> Kept("runs/ioi").path.name, Kept().path
    ('ioi', None)
    """

    directory: str | Path | None = None
    beside: tuple[str, ...] = ()
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.directory == "":
            raise InputError("the directory of a run has no name: give one, or None to keep none")

    @property
    def path(self) -> Path | None:
        """The directory."""
        return None if self.directory is None else Path(self.directory)

    @property
    def work(self) -> Path | None:
        """Where effects are."""
        return None if self.path is None else self.path / WORK_DIRECTORY

    def check(
        self, config: DiscoveryConfig, provenance: Provenance, difference: str | None
    ) -> None:
        """Raise OverwriteError where something else is there; `difference` is that of effects."""
        if self.path is not None and not self.overwrite:
            settle(self.path)
            check_run_replaceable(self.path, question(config, provenance), self.beside)
            check_work_replaceable(self.path, difference)


NOWHERE = Kept()
"""Nothing is kept on the disk."""


def is_begun(directory: str | Path) -> bool:
    """Whether a directory holds something that a run can go on from."""
    return owner(Path(directory) / WORK_DIRECTORY) is not None


def check_begun(directory: str | Path | None) -> None:
    """Raise ResumeError where a directory holds no begun run."""
    if directory is None:
        raise ResumeError(
            "asked to resume a run without the directory it is in: name the directory it was begun "
            "in, or begin one without resume"
        )
    if not is_begun(directory):
        what = "holds no begun run" if Path(directory).is_dir() else "is no directory"
        raise ResumeError(
            f"asked to resume the run in {directory}, which {what}: name the directory it was "
            "begun in, or begin one without resume"
        )
