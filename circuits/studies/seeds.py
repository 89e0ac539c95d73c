"""The same discovery on the prompts of many seeds.

The model is loaded, hashed and checked once. With a second method to compare with, both share the
prompts of a seed, one sweep among all heads, and every effect that either had run exactly.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from circuits.circuit import Circuit, Overlap
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.kept import Kept, is_begun
from circuits.discovery.methods import method_names
from circuits.discovery.pipeline import Pipeline
from circuits.discovery.result import Discovery
from circuits.discovery.session import Session
from circuits.errors import ResumeError, SettingError, unknown_name
from circuits.forward import LayeredModel, TransformerBridge
from circuits.references import Reference, check_same_shape
from circuits.runtime.lock import only_user
from circuits.runtime.progress import Progress, Stage
from circuits.runtime.sizes import MOST_REPEATS
from circuits.statistics.distribution import Outlier
from circuits.studies.seed_result import SeedRun, SeedStudy, check_study_replaceable
from circuits.tasks import Task, get_task

SEED_STAGES = ("seeds",)
AGAINST_DIRECTORY = "against"
Against = str | Reference | Circuit
_SHARES = {
    "behaviour": 0.02,
    "means": 0.04,
    "pruning": 0.25,
    "validation": 0.15,
    "patching": 0.5,
    "evaluation": 0.04,
}
"""Of the time that a discovery takes: for the progress alone."""


class LuckySeedWarning(UserWarning):
    """A figure of one seed is not what the other seeds let expect.

    >>> outlier = Outlier("performance", seed=0, value=90.0, low=65.2, high=78.1)
    >>> print(LuckySeedWarning(described(outlier, reported=0)))
    seed 0, the seed that is reported, is out of line: its performance is 90, where the other seeds
    let expect 65.2 to 78.1 if it varies normally
    """


def discover_seeds(
    model: TransformerBridge,
    task: str | Task,
    *,
    seeds: int | Sequence[int] = 10,
    config: DiscoveryConfig | None = None,
    against: Against | None = None,
    directory: str | Path | None = None,
    progress: Progress | Stage | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> SeedStudy:
    """Discover a task's circuit on the prompts of many seeds.

    Each run is what `discover_circuit` finds with that seed. Templates take turns in every run
    alike; `DiscoveryConfig.n_templates` lets chance choose some, in an order of its own.

    Args:
        model: A TransformerBridge, from `load_model` or your own.
        task: A task's name, or a Task.
        seeds: Which; or how many, beginning with that of `config`.
        config: All settings of `discover_circuit`; its seed is `reported`, or else the first.
        against: A method, a reference or a circuit to measure precision and recall against.
        directory: Where each run is saved (`seed-0`, ...; what it is compared with in `against`
            below it) as soon as it is done. Runs that are there are not repeated.
        progress: A `Progress`, or a function of the stage "seeds" and the fraction that is done.
        resume: Whether `directory` must hold a begun study of this model and these prompts.
        overwrite: Whether to replace what it holds of another task, model or prompts.

    Raises:
        ResumeError, OverwriteError, BusyError: `directory` holds none, or another, or is in use.
        SettingError: A seed, a setting or what to compare with is not allowed.

    Warns:
        LuckySeedWarning: A figure of one seed is not what the other seeds let expect.

    >>> quick = replace(config, method="attribution", n_mean_prompts=4)
    >>> study = discover_seeds(model, task, seeds=[3, 5], config=quick)
    >>> [run.seed for run in study.runs], study.reported
    ([3, 5], 3)
    """
    config, kept = config or DiscoveryConfig(), Kept(directory, (), resume, overwrite)
    numbers = seed_numbers(seeds, config.seed)
    check_against(config, against)
    if resume:
        check_study_begun(directory)
    repeated = _Repeated(LayeredModel.of(model), get_task(task), config, against, kept)
    runs = repeated.runs(numbers, Progress.of(progress).stage(SEED_STAGES[0]))
    reported = config.seed if config.seed in numbers else numbers[0]
    return _warned(SeedStudy(runs, reported, name_of(against)))


def _warned(study: SeedStudy) -> SeedStudy:
    for outlier in study.outliers:
        warnings.warn(described(outlier, study.reported), LuckySeedWarning, stacklevel=3)
    return study


def seed_numbers(seeds: int | Sequence[int], first: int) -> tuple[int, ...]:
    """The seeds themselves. Raises SettingError where there is none, one twice, or no seed."""
    if isinstance(seeds, int) and seeds > MOST_REPEATS:
        raise SettingError(f"seeds must be at most {MOST_REPEATS}, got {seeds}")
    numbers = tuple(range(first, first + seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not numbers:
        raise SettingError(f"seeds must be at least 1, or a list of at least one seed; got {seeds}")
    for number in (min(numbers), max(numbers)):
        DiscoveryConfig(seed=number)
    if len(set(numbers)) < len(numbers):
        raise SettingError(f"each seed can be run once; got {', '.join(map(str, numbers))}")
    return numbers


def check_against(config: DiscoveryConfig, against: Against | None) -> None:
    """Raise SettingError where that is no method, or the one that is to be compared with it."""
    if not isinstance(against, str):
        return
    if against not in method_names():
        raise SettingError(unknown_name("method", against, method_names()))
    if against == config.method:
        raise SettingError(f"method {against!r} cannot be compared with itself; name another")


def seed_directory(directory: str | Path, seed: int) -> Path:
    """Where the run of a seed is."""
    return Path(directory) / f"seed-{seed}"


def is_study_begun(directory: str | Path) -> bool:
    """Whether a directory holds something that a study can go on from."""
    return any(map(is_begun, Path(directory).glob("seed-*")))


def check_study_begun(directory: str | Path | None) -> None:
    """Raise ResumeError where a directory holds no begun study."""
    if directory is None or not is_study_begun(directory):
        where = "no directory" if directory is None else f"{directory}, which holds none"
        raise ResumeError(
            f"asked to resume a study of seeds in {where}: name the directory it was begun in, or "
            "begin one without resume"
        )


def name_of(against: Against | None) -> str | None:
    """What circuits are compared with, in words."""
    if isinstance(against, Reference):
        return against.name
    return "a given circuit" if isinstance(against, Circuit) else against


def described(outlier: Outlier, reported: int) -> str:
    """An outlier in one line."""
    which = "the seed that is reported" if outlier.seed == reported else "one of many"
    return (
        f"seed {outlier.seed}, {which}, is out of line: its {outlier.figure} is "
        f"{outlier.value:.3g}, where the other seeds let expect {outlier.low:.3g} to "
        f"{outlier.high:.3g} if it varies normally"
    )


@dataclass(frozen=True, eq=False)
class _Repeated:
    """What the runs of all seeds have in common."""

    model: LayeredModel
    task: Task
    config: DiscoveryConfig
    against: Against | None
    kept: Kept

    def __post_init__(self) -> None:
        """Refuse a circuit of another model's shape before any work is done."""
        nothing = Circuit.of_heads((), self.model.n_layers, self.model.n_heads)
        if isinstance(self.against, Reference):
            check_same_shape(self.against, nothing)
        elif isinstance(self.against, Circuit):
            nothing.compare(self.against)

    def runs(self, seeds: Sequence[int], progress: Progress) -> tuple[SeedRun, ...]:
        """One after the other, each in its own directory."""
        found: list[SeedRun] = []
        place = self.kept.path
        with only_user(place):
            for seed, part in progress.each(seeds):
                part.note(f"seed {seed}, {len(found) + 1} of {len(seeds)}")
                where = None if place is None else seed_directory(place, seed)
                found.append(self.run(seed, where, part))
        return tuple(found)

    def run(self, seed: int, directory: Path | None, progress: Progress) -> SeedRun:
        """Find one seed's circuit, and what it is compared with; the wider search comes first."""
        resume = self.kept.resume and directory is not None and is_begun(directory)
        kept = replace(self.kept, directory=directory, resume=resume)
        config = replace(self.config, seed=seed)
        with Session.at_work(self.model, self.task, config, kept) as session:
            return self._in(session, progress)

    def _in(self, session: Session, progress: Progress) -> SeedRun:
        directory, config = session.directory, session.config
        if self.kept.path is not None and not self.kept.overwrite:
            check_study_replaceable(self.kept.path, config, session.problem.provenance())
        if not isinstance(self.against, str):
            return self._compared(self._found(session, progress), self.against)
        first, second = progress.parts(1, 1)
        beside = None if directory is None else directory / AGAINST_DIRECTORY
        other = session.with_config(config.with_method(self.against), beside)
        against = self._found(other, first)
        found = self._found(replace(session, replaced=None), second)
        return replace(self._compared(found, against.circuit), against=against)

    def _found(self, session: Session, progress: Progress) -> Discovery:
        """What its directory holds of just this session; otherwise found now, and saved there."""
        if (known := session.saved()) is not None:
            progress(1.0)
            return known
        found = Pipeline(session, _as_one(progress)).discover()
        if session.directory is not None:
            found.save(session.directory, overwrite=session.kept.overwrite)
        return found

    def _compared(self, found: Discovery, against: Circuit | Reference | None) -> SeedRun:
        if against is None:
            return SeedRun(found)
        theirs = against.circuit if isinstance(against, Reference) else against
        heads, edges = found.circuit.compare(theirs), None
        if found.config.patches_paths and self._compares_edges:
            edges = Overlap.of(found.circuit.connections, against.connections)
        return SeedRun(found, None, heads, edges)

    @property
    def _compares_edges(self) -> bool:
        """Whether there are edges to compare with: for every seed, or for none."""
        if isinstance(self.against, Reference | Circuit):
            return bool(self.against.connections)
        return self.against is not None and self.config.with_method(self.against).patches_paths


def _as_one(progress: Progress) -> Progress:
    """The stages of a discovery as parts of one."""
    parts = dict(zip(_SHARES, progress.parts(*_SHARES.values()), strict=True))
    return Progress(lambda stage, fraction: parts[stage](fraction), progress.notes)
