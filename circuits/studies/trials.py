"""The trials of a study: settings that are suggested by what the earlier trials gave."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import optuna

from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.patcher import EdgePatcher
from circuits.discovery.pipeline import Pipeline
from circuits.pruning.rule import CliffRule, PruningRule
from circuits.runtime.progress import SILENT, Progress
from circuits.search import Grown, SelectionRule
from circuits.search.significant import check_power
from circuits.studies.candidates import Candidates
from circuits.studies.grid import GridPoint, best

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

    >>> trial = Trial(rule, circuit, performance=80.0, pruning=None, n_candidates=12)
    >>> trial.to_dict()["n_candidates"]
    12
    """

    pruning: PruningRule | None
    n_candidates: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data: that of a grid's point, and the candidates."""
        pruning = None if self.pruning is None else asdict(self.pruning)
        return {**super().to_dict(), "pruning": pruning, "n_candidates": self.n_candidates}


class Trials:
    """What all trials share: the scores, their curves, and one sweep of the widest candidates."""

    def __init__(self, run: Pipeline, config: DiscoveryConfig, keep: float) -> None:
        """Patch what any trial can need, as the stage "patching" of the run."""
        self.run, self.config, self.keep = run, config, keep
        self.cuts = Candidates(run.scores, run.prunings, config.pruning_rule)
        self.widest = self.cuts.widest(SPARSITIES[0])
        with run.meter.stage("patching") as progress:
            self.patcher = self._swept(progress)

    def _swept(self, progress: Progress) -> EdgePatcher:
        patcher = self.run.patcher(self.widest)
        check_power(self.config.selection, len(self.run.session.pairs), len(patcher.nodes))
        if not patcher.is_exact:
            patcher.estimates(progress)
        return patcher

    def tried(self, n_trials: int, progress: Progress) -> tuple[Trial, ...]:
        """The first trial of every distinct circuit, in the order of the trials.

        Circuits are sets of heads; of edges where MLPs are nodes.
        """
        found: dict[frozenset[Any], Trial] = {}
        with _quiet():
            study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=self.config.seed))
            if own := _own_settings(self.config, prunes=self.widest is not None):
                study.enqueue_trial(own)
            for number in range(n_trials):
                asked = study.ask()
                trial = self._trial(*_suggested(asked, self.config, self.cuts))
                circuit, graph = trial.circuit, self.patcher.graph
                every = graph.n_edges if graph.has_mlps else len(graph.heads)
                study.tell(asked, _loss(trial.size / every, trial.performance, self.keep))
                distinct = circuit.connections if graph.has_mlps else circuit.heads
                found.setdefault(distinct, trial)
                progress((number + 1) / n_trials)
        return tuple(found.values())

    def _trial(self, rule: SelectionRule, pruning: PruningRule | None) -> Trial:
        candidates = self.cuts.candidates(pruning)
        (grown,) = self.patcher.among(candidates, verify=False).find([rule])
        circuit = grown.circuit
        size = circuit.n_layers * circuit.n_heads if candidates is None else len(candidates)
        (performance,) = self.run.performances([circuit])
        return Trial(rule, circuit, performance, pruning, size)

    def verified(self, trials: Sequence[Trial], progress: Progress) -> tuple[Trial, Grown]:
        """The best trial whose verified circuit keeps enough; where none does, the first."""
        tried: list[tuple[Trial, Grown]] = []
        for trial in _best_first(trials, self.keep):
            candidates = self.cuts.candidates(trial.pruning)
            among = self.patcher.among(candidates, verify=self.config.verify)
            (grown,) = among.find([trial.selection], SILENT if tried else progress)
            tried.append((trial, grown))
            if self.run.performances([grown.circuit])[0] >= self.keep:
                break
        else:
            return tried[0]
        return tried[-1]


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
