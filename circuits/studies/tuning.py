"""A search over all settings of the selection and the pruning, by Optuna's TPE sampler.

Path effects depend on no setting: one sweep serves every trial, and a trial costs one evaluation of
the circuit that it grows, or nothing where an earlier one grew the same. Estimates guide the
search; what it chooses is verified, and evaluated again.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.kept import Kept
from circuits.discovery.pipeline import Pipeline
from circuits.discovery.record import STUDY_FILE
from circuits.discovery.result import Discovery
from circuits.discovery.session import Session
from circuits.errors import SettingError
from circuits.forward import TransformerBridge
from circuits.runtime.cost import Cost
from circuits.runtime.progress import Progress, Stage
from circuits.runtime.sizes import MOST_REPEATS
from circuits.runtime.workers import Workers
from circuits.search import Grown
from circuits.studies.grid import check_search, pareto, search_dict
from circuits.studies.trials import Trial, Trials
from circuits.tasks import Task, get_task

STUDY_STAGES = (
    "behaviour",
    "means",
    "pruning",
    "patching",
    "trials",
    "verification",
    "evaluation",
)


@dataclass(frozen=True)
class Study:
    """What a search over all settings found.

    Attributes:
        points: The first trial of every distinct set of heads, in the order of the trials.
        n_trials: How many trials there were.
        keep: Percent of performance that a circuit is asked to keep.
        best: The trial whose settings were chosen; its circuit and performance rest on estimates.
        found: The verified circuit of these settings, as a discovery.
        cost: Cost of the whole study.

    >>> small = Trial(rule, Circuit.of_heads(["2.1"], 3, 4), 80.0, pruning=None, n_candidates=12)
    >>> large = Trial(rule, Circuit.of_heads(["2.1", "0.0"], 3, 4), 79.0, None, 12)
    >>> study = Study((small, large), 50, keep=75.0, best=small, found=found, cost=found.cost)
    >>> study.pareto == (small,)  # no other circuit is smaller or keeps more
    True
    """

    points: tuple[Trial, ...]
    n_trials: int
    keep: float
    best: Trial
    found: Discovery
    cost: Cost

    @property
    def pareto(self) -> tuple[Trial, ...]:
        """The circuits that no other one beats in size without losing to it in performance."""
        return pareto(self.points)

    @property
    def keeps_enough(self) -> bool:
        """Whether the verified circuit keeps what was asked for."""
        return self.found.performance >= self.keep

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for `study.json`."""
        search = search_dict(self.points, self.best, self.keep, self.found, self.cost)
        return {"n_trials": self.n_trials, **search}

    def save(self, directory: str | Path, *, overwrite: bool = False) -> None:
        """Write the chosen run as `Discovery.save` does, and `study.json` with it."""
        content = json.dumps(self.to_dict(), indent=1).encode()
        self.found.save(directory, {STUDY_FILE: content}, overwrite=overwrite)


def discover_study(
    model: TransformerBridge,
    task: str | Task,
    *,
    n_trials: int = 50,
    keep: float = 75.0,
    config: DiscoveryConfig | None = None,
    directory: str | Path | None = None,
    workers: Workers | None = None,
    progress: Progress | Stage | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> Study:
    """Search for the smallest circuit that keeps enough performance, over all settings at once.

    Varied are both thresholds, the smallest effect, and how far is pruned: by which cliff of the
    performance curve, or to which sparsity. The seed of `config` seeds the sampler, too.

    Args:
        model: A TransformerBridge, from `load_model` or your own.
        task: A task's name, or a Task.
        n_trials: Combinations of settings to try.
        keep: Percent of performance that the chosen circuit must keep.
        config: All other settings, those of `discover_circuit`; its own rule is tried first.
        directory: Where effects are kept as they become known, as in `discover_circuit`.
        workers: Who take part (docs/workers.md); they need a directory.
        progress: A `Progress`, or a function of a stage's name and the fraction of it that is done.
        resume: Whether `directory` must hold a begun run of this model and these prompts.
        overwrite: Whether what `directory` holds of another task, model or prompts is replaced.

    Raises:
        ResumeError, OverwriteError, BusyError: `directory` holds none, or another, or is in use.
        SettingError: A setting is out of range, or the method patches no paths.

    >>> quick = replace(config, verify=False)
    >>> study = discover_study(model, task, n_trials=2, keep=60.0, config=quick)
    >>> study.n_trials, study.best in study.points, study.found.circuit == study.best.circuit
    (2, True, True)
    """
    config = config or DiscoveryConfig(method="app")
    check_study(config, n_trials, keep)
    # Every cliff is looked for on the same whole curve.
    whole = replace(config, pruning=replace(config.pruning_rule, cliff="first", full_curve=True))
    kept = Kept(directory, (STUDY_FILE,), resume, overwrite)
    with Session.at_work(model, get_task(task), whole, kept, workers) as session:
        return _studied(Pipeline(session, Progress.of(progress)), config, n_trials, keep)


def _studied(run: Pipeline, config: DiscoveryConfig, n_trials: int, keep: float) -> Study:
    if run.verdict.refuses:
        return _without_circuit(run, config, keep)
    trials = Trials(run, config, keep)
    with run.meter.stage("trials") as part:
        points = trials.tried(n_trials, part)
    with run.meter.stage("verification") as part:
        chosen, grown = trials.verified(points, part)
    found = _evaluated(trials, chosen, grown)
    return Study(points, n_trials, keep, chosen, found, run.cost)


def _evaluated(trials: Trials, chosen: Trial, grown: Grown) -> Discovery:
    """The chosen circuit as a discovery, with the settings that lead to it."""
    run, config = trials.run, trials.config
    with run.meter.stage("evaluation") as progress:
        (performance,) = run.performances([grown.circuit], progress)
        prunings = (
            trials.cuts.prunings(chosen.pruning, run.evaluator.performances)
            if chosen.pruning
            else {}
        )
    pruning = chosen.pruning or config.pruning
    settings = replace(config, selection=chosen.selection, pruning=pruning)
    found = run.discovery(chosen.selection, grown, performance)
    return replace(found, prunings=prunings, config=settings)


def _without_circuit(run: Pipeline, config: DiscoveryConfig, keep: float) -> Study:
    """Nothing was tried, because there is nothing to find."""
    (patched,), rule = run.patch([config.selection]), config.selection
    found = replace(run.discovery(rule, patched, math.nan), config=config)
    nothing = Trial(rule, patched.circuit, math.nan, None, 0)
    return Study((), 0, keep, nothing, found, run.cost)


def check_study(config: DiscoveryConfig, n_trials: int, keep: float) -> None:
    """Raise SettingError where a study cannot be made."""
    check_search(config, keep)
    if not 1 <= n_trials <= MOST_REPEATS:
        raise SettingError(
            f"n_trials must be at least 1 and at most {MOST_REPEATS}, got {n_trials}"
        )
