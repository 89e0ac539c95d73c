"""The same discovery on the prompts of many seeds.

The model is loaded, hashed and checked once. With a second method to compare with, both share the
prompts of a seed, one sweep among all heads, and every effect that either had run exactly.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from circuits.circuit import Circuit
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.kept import Kept, is_begun
from circuits.discovery.methods import recipe_of
from circuits.errors import ResumeError, SettingError
from circuits.forward import LayeredModel, TransformerBridge
from circuits.references import Reference
from circuits.runtime.progress import Progress, Stage
from circuits.runtime.sizes import MOST_REPEATS
from circuits.runtime.workers import Workers, check_workers
from circuits.statistics import InclusionRule
from circuits.statistics.distribution import Outlier
from circuits.studies.consensus_evaluation import evaluate_consensus
from circuits.studies.repeated import Against, Repeated
from circuits.studies.seed_result import SeedStudy
from circuits.tasks import Task, get_task

SEED_STAGES = ("seeds",)
_OF_CONSENSUS = 0.1
"""How much of the progress of one seed the consensus takes."""


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
    rule: InclusionRule | None = None,
    directory: str | Path | None = None,
    workers: Workers | None = None,
    progress: Progress | Stage | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> SeedStudy:
    """Discover a task's circuit on the prompts of many seeds, and what the circuits agree on.

    Each run is what `discover_circuit` finds with that seed. The heads and edges that enough of
    them have are measured on prompts that none of them has seen (`evaluate_consensus`).

    Args:
        model: A TransformerBridge, from `load_model` or your own.
        task: A task's name, or a Task.
        seeds: Which; or how many, beginning with that of `config`.
        config: All settings of `discover_circuit`; its seed is `reported`, or else the first.
        against: A method, a reference or a circuit to measure precision and recall against.
        rule: What a head, node or edge is called by how many of the circuits have it.
        directory: Where each run is saved (`seed-0`, ...; what it is compared with in `against`
            below it) as soon as it is done. Runs that are there are not repeated.
        workers: Who runs the seeds; this process, one by one, without.
        progress: A `Progress`, or a function of the stage "seeds" and the fraction that is done.
        resume: Whether `directory` must hold a begun study of this model and these prompts.
        overwrite: Whether to replace what it holds of another task, model or prompts.

    Raises:
        ResumeError, OverwriteError, BusyError: `directory` holds none, or another, or is in use.
        SettingError: A setting is not allowed, or workers have no directory.

    Warns LuckySeedWarning where a figure of one seed is not what the others let expect.

    >>> quick = DiscoveryConfig("attribution", n_prompts=4, n_mean_prompts=4)
    >>> study = discover_seeds(model, task, seeds=[3, 5], config=quick)
    >>> [run.seed for run in study.runs], study.reported
    ([3, 5], 3)
    """
    config, kept = config or DiscoveryConfig(), Kept(directory, (), resume, overwrite)
    numbers = seed_numbers(seeds, config.seed)
    _check(config, against, kept, workers)
    repeated = Repeated(LayeredModel.of(model), get_task(task), config, against, kept)
    part = Progress.of(progress).stage(SEED_STAGES[0])
    return _studied(repeated, numbers, rule or InclusionRule(), part, workers)


def _check(
    config: DiscoveryConfig, against: Against | None, kept: Kept, workers: Workers | None
) -> None:
    check_against(config, against)
    if kept.resume:
        check_study_begun(kept.directory)
    check_workers(workers, kept.directory)


def _studied(
    repeated: Repeated,
    seeds: Sequence[int],
    rule: InclusionRule,
    progress: Progress,
    workers: Workers | None,
) -> SeedStudy:
    """All runs, and what they agree on; warns of seeds that are out of line."""
    usual, (first, last) = repeated.config.seed, progress.parts(len(seeds), _OF_CONSENSUS)
    runs = repeated.runs(seeds, first, workers)
    reported = usual if usual in seeds else seeds[0]
    study = SeedStudy(runs, reported, name_of(repeated.against), rule)
    if len(study.refusals) < len(runs):
        agreed = evaluate_consensus(study, repeated.model, repeated.task, progress=last)
        study = replace(study, agreed=agreed)
    last(1.0)
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
    recipe_of(against, config.mlps)
    if against == config.method:
        raise SettingError(f"method {against!r} cannot be compared with itself; name another")


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
