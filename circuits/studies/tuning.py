"""A search over all settings of the selection and the pruning, by Optuna's TPE sampler.

Path effects depend on no setting: one sweep serves every trial, and a trial costs one evaluation of
the circuit that it grows, or nothing where an earlier one grew the same. Estimates guide the
search; what it chooses is verified, and evaluated again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import optuna

from circuits.components import Head
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.patcher import EdgePatcher
from circuits.discovery.record import STUDY_FILE
from circuits.discovery.result import Discovery
from circuits.discovery.run import Run
from circuits.discovery.session import Session
from circuits.errors import SettingError
from circuits.forward import TransformerBridge
from circuits.pruning.rule import CliffRule, PruningRule
from circuits.runtime.cost import Cost
from circuits.runtime.progress import SILENT, Progress, Stage
from circuits.search import Grown, SelectionRule
from circuits.search.significant import check_power
from circuits.studies.candidates import Candidates
from circuits.studies.grid import GridPoint, best, check_search, pareto, search_dict
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
THRESHOLDS, LOGITS_THRESHOLDS = (0.5, 3.0), (1.0, 3.0)
MIN_EFFECTS, SPARSITIES = (5e-4, 3e-2), (0.4, 0.95)
_BY_SPARSITY = "sparsity"
_MOST_VERIFIED = 3
"""Of the trials that keep enough; verification can change a circuit."""


@dataclass(frozen=True)
class Trial(GridPoint):
    """One combination of settings and the circuit that it grows on estimates.

    Attributes:
        pruning: How the candidates were chosen; None where nothing is pruned.
        n_candidates: How many heads that left.

    """

    pruning: PruningRule | None
    n_candidates: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data: that of a grid's point, and the candidates."""
        pruning = None if self.pruning is None else asdict(self.pruning)
        return {**super().to_dict(), "pruning": pruning, "n_candidates": self.n_candidates}


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

    def save(self, directory: str | Path) -> None:
        """Write the chosen run as `Discovery.save` does, and `study.json` with it."""
        content = json.dumps(self.to_dict(), indent=1).encode()
        self.found.save(directory, {STUDY_FILE: content})


def discover_study(
    model: TransformerBridge,
    task: str | Task,
    *,
    n_trials: int = 50,
    keep: float = 75.0,
    config: DiscoveryConfig | None = None,
    directory: str | Path | None = None,
    progress: Progress | Stage | None = None,
    resume: bool = False,
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
        progress: A `Progress`, or a function of a stage's name and the fraction of it that is done.
        resume: Whether `directory` must hold a begun run of this model and these prompts.

    Raises:
        ResumeError: There is no such run to resume.
        SettingError: A setting is out of range, or the method patches no paths.

    """
    config = config or DiscoveryConfig()
    check_study(config, n_trials, keep)
    # Every cliff is looked for on the same whole curve.
    curve = replace(config.pruning_rule, cliff="first", full_curve=True)
    whole = replace(config, pruning=curve)
    session = Session.of(model, get_task(task), whole, directory, resume=resume)
    run = Run(session, Progress.of(progress))
    if run.verdict.refuses:
        return _without_circuit(run, config, keep)
    cuts = Candidates(run.scores, run.prunings, config.pruning_rule)
    with run.meter.stage("patching") as report:
        patcher = run.patcher(cuts.widest(SPARSITIES[0]))
        check_power(config.selection, len(session.pairs), len(patcher.heads))
        if not patcher.is_exact:
            patcher.estimates(report)
    with run.meter.stage("trials") as report:
        trials = _try_out(run, patcher, cuts, config, n_trials, keep, report)
    first: dict[frozenset[Head], Trial] = {}
    for trial in trials:
        first.setdefault(trial.circuit.heads, trial)
    points = tuple(first.values())
    with run.meter.stage("verification") as report:
        chosen, patched = _verified(run, patcher, cuts, points, keep, config.verify, report)
    with run.meter.stage("evaluation") as report:
        performance = run.evaluator.performances([patched.circuit.heads], report)[0]
        prunings = cuts.prunings(chosen.pruning, run.evaluator.performances)
    found = run.discovery(chosen.selection, patched, performance)
    pruning = chosen.pruning or config.pruning
    settings = replace(config, selection=chosen.selection, pruning=pruning)
    found = replace(found, prunings=prunings, config=settings)
    return Study(points, n_trials, keep, chosen, found, run.cost)


def _without_circuit(run: Run, config: DiscoveryConfig, keep: float) -> Study:
    """Nothing was tried, because there is nothing to find."""
    (patched,), rule = run.patch([config.selection]), config.selection
    found = replace(run.discovery(rule, patched, math.nan), config=config)
    nothing = Trial(rule, patched.circuit, math.nan, None, 0)
    return Study((), 0, keep, nothing, found, run.cost)


def check_study(config: DiscoveryConfig, n_trials: int, keep: float) -> None:
    """Raise SettingError where a study cannot be made."""
    check_search(config, keep)
    if n_trials < 1:
        raise SettingError(f"n_trials must be at least 1, got {n_trials}")


def _try_out(
    run: Run,
    patcher: EdgePatcher,
    cuts: Candidates,
    config: DiscoveryConfig,
    n_trials: int,
    keep: float,
    report: Progress,
) -> list[Trial]:
    """Every trial in turn, each suggested by what the earlier ones gave."""
    trials: list[Trial] = []
    with _quiet():
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=config.seed))
        if own := _own_settings(config, prunes=cuts.widest(SPARSITIES[0]) is not None):
            study.enqueue_trial(own)
        for number in range(n_trials):
            asked = study.ask()
            rule, pruning = _suggested(asked, config, cuts)
            candidates = cuts.candidates(pruning)
            (grown,) = patcher.among(candidates, verify=False).find([rule])
            circuit = grown.circuit
            performance = run.evaluator.performance(circuit.heads)
            n_all = circuit.n_layers * circuit.n_heads
            size = n_all if candidates is None else len(candidates)
            trials.append(Trial(rule, circuit, performance, pruning, size))
            study.tell(asked, _loss(len(circuit) / n_all, performance, keep))
            report((number + 1) / n_trials)
    return trials


def _suggested(
    trial: optuna.Trial, config: DiscoveryConfig, cuts: Candidates
) -> tuple[SelectionRule, PruningRule | None]:
    varied = {
        name: trial.suggest_float(name, *ends, log=name == "min_effect")
        for name, ends in _ranges(config.selection).items()
    }
    rule = replace(config.selection, **varied)
    if not config.scorers:
        return rule, None
    cliffs: tuple[CliffRule, ...] = get_args(CliffRule)
    cut = trial.suggest_categorical("cut", (*cliffs, _BY_SPARSITY))
    for cliff in cliffs:
        if cut == cliff:
            return rule, cuts.by_cliff(cliff)
    return rule, cuts.by_sparsity(trial.suggest_float(_BY_SPARSITY, *SPARSITIES))


def _ranges(rule: SelectionRule) -> dict[str, tuple[float, float]]:
    """What is varied of a rule; one that tests significance has no thresholds."""
    thresholds = {"threshold": THRESHOLDS, "logits_threshold": LOGITS_THRESHOLDS}
    return ({} if rule.tests_significance else thresholds) | {"min_effect": MIN_EFFECTS}


def _own_settings(config: DiscoveryConfig, *, prunes: bool) -> dict[str, Any] | None:
    """The settings that the search was given, to begin with; None where they are out of reach."""
    ranges = _ranges(config.selection)
    settings: dict[str, Any] = {name: getattr(config.selection, name) for name in ranges}
    if not all(low <= settings[name] <= high for name, (low, high) in ranges.items()):
        return None
    return settings | ({"cut": config.pruning_rule.cliff} if prunes else {})


def _loss(size: float, performance: float, keep: float) -> float:
    """Share of heads; for a circuit that keeps too little more than 1, by what it falls short."""
    return size if performance >= keep else 1 + (keep - performance) / 100


def _verified(
    run: Run,
    patcher: EdgePatcher,
    cuts: Candidates,
    points: tuple[Trial, ...],
    keep: float,
    verify: bool,
    report: Progress,
) -> tuple[Trial, Grown]:
    """The best trial that keeps enough with its circuit verified; where none does, the first."""
    tried: list[tuple[Trial, Grown]] = []
    for trial in _best_first(points, keep):
        among = patcher.among(cuts.candidates(trial.pruning), verify=verify)
        (patched,) = among.find([trial.selection], SILENT if tried else report)
        tried.append((trial, patched))
        if run.evaluator.performance(patched.circuit.heads) >= keep:
            return trial, patched
    return tried[0]


def _best_first(points: Iterable[Trial], keep: float) -> list[Trial]:
    """A few trials that keep enough, best first; where none does, the one that keeps most."""
    left, order = list(points), []
    while left and len(order) < _MOST_VERIFIED:
        order.append(best(left, keep))
        left.remove(order[-1])
        if order[0].performance < keep:
            break
    return [trial for trial in order if trial.performance >= keep] or order[:1]


@contextmanager
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
