"""The two long stages of a discovery: pruning heads and patching paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.circuit import Circuit
from circuits.components import Head, Receiver
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.store import Pruned, Workspace
from circuits.evaluation import Evaluator
from circuits.forward import LayeredModel, in_float32, paired_runs
from circuits.metrics import get_metric
from circuits.patching import EffectTable, SweptEffects
from circuits.patching.effects import SweptSums, outside
from circuits.patching.paths import ReceiverEffects, known_heads, swept_sums
from circuits.patching.plan import Plan, plan_work
from circuits.pruning import Pruning, prune
from circuits.scores import Contrast, HeadStatistics, Statistic
from circuits.scores.attribution import attribution_scores
from circuits.search.grow import EffectsOf, SelectionRule, Selector, grow
from circuits.search.significant import selector_of
from circuits.search.verification import (
    Verification,
    Verifier,
    Visit,
    receivers_of,
    verified_growth,
)
from circuits.statistics.significance import sign_flip_p_values
from circuits.tasks import PromptPairs

Report = Callable[[float], None]
_STATISTICS: dict[str, Statistic] = {"flap": "WIFV", "contrastive-flap": "WIFN"}
_SWEEP_SHARE = 0.7
"""Of the patching stage, where something follows the sweep: for the progress alone."""


@dataclass(frozen=True)
class Patched:
    """A circuit grown from path effects, what it was grown from, and what was verified."""

    circuit: Circuit
    effects: EffectTable | None
    verification: Verification | None = None


def prune_heads(
    evaluator: Evaluator, config: DiscoveryConfig, workspace: Workspace, report: Report
) -> Pruned:
    """Every pruning of the method, and the scores behind it."""
    names = config.pruning_names
    if not names:
        return {}, {}
    key = {
        "means": config.n_mean_prompts,
        "rule": asdict(config.pruning_rule),
        "contrast": config.contrast,
        "names": names,
    }
    if (known := workspace.pruned(key)) is not None:
        return known
    scores = _scores(evaluator, names, config.contrast)
    prunings: dict[str, Pruning] = {}
    for done, name in enumerate(names):

        def report_part(fraction: float, done: int = done) -> None:
            report((done + fraction) / len(names))

        prunings[name] = prune(
            scores[name], config.pruning_rule, evaluator.performances, report_part
        )
    workspace.keep_pruned(key, (prunings, scores))
    return prunings, scores


def _scores(
    evaluator: Evaluator, names: tuple[str, ...], contrast: Contrast
) -> dict[str, Float[Tensor, "layer head"]]:
    """The scores of these names, which are all attribution or all FLAP's."""
    runs = paired_runs(evaluator.model, evaluator.pairs, evaluator.metric)
    if names == ("attribution",):
        return {"attribution": attribution_scores(runs)}
    statistics = HeadStatistics.collect(evaluator.model, runs)
    contrasts = {"flap": None, "contrastive-flap": contrast}
    return {name: statistics.scores(_STATISTICS[name], contrasts[name]) for name in names}


def plan_patching(
    model: LayeredModel,
    pairs: PromptPairs,
    candidates: frozenset[Head] | None,
    config: DiscoveryConfig,
) -> Plan:
    """How path patching will be split, and about what it will take."""
    return plan_work(model, pairs, known_heads(model, candidates), config.memory_bytes)


class PathPatcher:
    """Path effects of one model on one set of prompts, and the circuits grown from them."""

    def __init__(
        self,
        model: LayeredModel,
        pairs: PromptPairs,
        candidates: frozenset[Head] | None,
        config: DiscoveryConfig,
        workspace: Workspace,
    ) -> None:
        """Effects among `candidates` (all heads without), by the engine of `config`."""
        self.model, self.pairs, self.candidates = model, pairs, candidates
        self.config, self.workspace = config, workspace
        self.sizes = (model.n_layers, model.n_heads)
        self.heads = known_heads(model, candidates)
        self._wider: PathPatcher | None = None
        self._sums: SweptSums | None = None
        self._estimates: SweptEffects | None = None
        self._p_values: dict[Receiver, Float[Tensor, "layer head"]] = {}

    def among(self, candidates: frozenset[Head] | None, *, verify: bool) -> PathPatcher:
        """The same effects, computed once for both, restricted to some of the candidates."""
        config = replace(self.config, verify=verify)
        fewer = PathPatcher(self.model, self.pairs, candidates, config, self.workspace)
        fewer._wider = self
        return fewer

    def describe(self, flops_per_second: float) -> str:
        """The plan in one line: how the work is split, and about what it will take."""
        plan = plan_patching(self.model, self.pairs, self.candidates, self.config)
        what = f"path patching among {len(self.heads)} heads, {len(self.pairs)} prompts"
        if self.config.engine != "sweep":
            return f"{what}, receiver by receiver"
        batches = "1 batch" if len(plan.batches) == 1 else f"{len(plan.batches)} batches"
        seconds = plan.flops / max(flops_per_second, 1.0)
        return (
            f"{what} in {batches}: about {plan.n_bytes / 2**30:.1f} GiB and {seconds:.0f} s, "
            f"verification aside"
        )

    def grow(self, rule: SelectionRule, report: Report) -> Patched:
        """The circuit of one selection rule."""
        return self.grow_all([rule], report)[0]

    def grow_all(self, rules: Sequence[SelectionRule], report: Report) -> list[Patched]:
        """The circuits of several selection rules, which share every effect."""
        selectors = [selector_of(rule, self.p_values) for rule in rules]
        if self.config.engine != "sweep":
            tests = any(rule.tests_significance for rule in rules)
            return self._grow_measured(selectors, report, sweep=tests)
        if self.config.verify:
            return self._grow_verified(selectors, report)
        effects = self.sweep(report).effects
        return [Patched(circuit, effects) for circuit in self._grown(effects.effects, selectors)]

    def _grown(self, effects_of: EffectsOf, selectors: Sequence[Selector]) -> list[Circuit]:
        return [grow(effects_of, selector, *self.sizes) for selector in selectors]

    def _grow_measured(
        self, selectors: Sequence[Selector], report: Report, *, sweep: bool
    ) -> list[Patched]:
        """By exact effects; p-values are those of a sweep's estimates, prompt by prompt."""
        told = report
        if sweep:
            self.sums(_first_part(report))
            told = _last_part(report)
        visit = self._progress(told)

        def effects_of(receiver: Receiver) -> Float[Tensor, "layer head"]:
            visit(receiver)
            return self._measured.measure(receiver, self.heads)

        circuits = self._grown(effects_of, selectors)
        table = self._measured.known.table().among(self.heads)
        return [Patched(circuit, table) for circuit in circuits]

    def _grow_verified(self, selectors: Sequence[Selector], report: Report) -> list[Patched]:
        swept, told = self.sweep(_first_part(report)), _last_part(report)
        verifier = self._verifier(swept, selectors)
        circuits = verified_growth(verifier, selectors, *self.sizes, self._progress(told))
        table = verifier.table()
        return [
            Patched(circuit, table, verifier.report(selector, circuit))
            for selector, circuit in zip(selectors, circuits, strict=True)
        ]

    def sweep(self, report: Report) -> SweptEffects:
        """Every path's estimate; swept once."""
        if self._estimates is None:
            wider = self._wider
            whole = self.sums(report).normalised() if wider is None else wider.sweep(report)
            self._estimates = whole.among(self.heads)
        return self._estimates

    def p_values(self, receiver: Receiver) -> Float[Tensor, "layer head"]:
        """How likely estimates so far from 0 are by the chance of prompts; NaN where no path is."""
        unit = receiver.shared(self.model.n_heads, self.model.n_kv_heads)
        if unit not in self._p_values:
            if self._wider is None:
                changes = self.sums(_unheard).changes.of(unit)
                found = sign_flip_p_values(changes, seed=self.config.seed)
            else:
                found = self._wider.p_values(unit)
            self._p_values[unit] = found.masked_fill(self._outside, torch.nan)
        return self._p_values[unit]

    def sums(self, report: Report) -> SweptSums:
        """Every path's estimate, prompt by prompt; swept once."""
        if self._sums is None:
            self._sums = self._swept(report)
        return self._sums

    def _swept(self, report: Report) -> SweptSums:
        among_all = self.workspace.sweep(_key(None))
        if among_all is not None and among_all.is_whole:
            return among_all
        key = _key(None if self.candidates is None else self.heads)
        begun = among_all if self.candidates is None else self.workspace.sweep(key)
        plan = plan_patching(self.model, self.pairs, self.candidates, self.config)
        return swept_sums(
            self.model,
            self.pairs,
            self.candidates,
            get_metric(self.config.metric),
            plan,
            report,
            begun=begun,
            keep=lambda sums: self.workspace.keep_sweep(key, sums),
        )

    def _verifier(self, swept: SweptEffects, selectors: Sequence[Selector]) -> Verifier:
        reached = {
            swept.effects.shared(receiver)
            for circuit in self._grown(swept.effects.effects, selectors)
            for receiver in receivers_of(circuit)
        }
        paths = sum(int((~swept.effects.effects(r).isnan()).sum()) for r in reached)
        share = min(1.0, self.config.n_sampled_paths / max(paths, 1))
        return Verifier(swept, self._measured.measure, share, self.config.seed, self.model.dtype)

    @cached_property
    def _measured(self) -> ReceiverEffects:
        """Exact effects; what verifies estimates of lower precision is float32."""
        if self._wider is not None:
            return self._wider._measured
        swept = self.config.engine == "sweep"
        return ReceiverEffects(
            in_float32(self.model) if swept else self.model,
            self.pairs,
            self.candidates,
            "reference" if self.config.engine == "reference" else "exact",
            get_metric(self.config.metric),
            self.config.memory_bytes,
            self.workspace.known,
        )

    @cached_property
    def _outside(self) -> Bool[Tensor, "layer head"]:
        return outside(self.heads, *self.sizes)

    def _progress(self, report: Report) -> Visit:
        """Reports how far down the model a search has come."""
        reached = [0.0]

        def visit(receiver: Receiver) -> None:
            layer = self.model.n_layers if receiver.head is None else receiver.head.layer
            reached[0] = max(reached[0], 1 - layer / self.model.n_layers)
            report(reached[0])

        return visit


def _key(heads: Iterable[Head] | None) -> dict[str, Any]:
    """What a sweep depends on, beside the workspace: the heads it is among (None: all)."""
    return {"candidates": None if heads is None else [str(head) for head in heads]}


def _unheard(fraction: float) -> None:
    """Progress that nobody waits for."""


def _first_part(report: Report) -> Report:
    """Progress of the sweep, where more follows."""
    return lambda part: report(_SWEEP_SHARE * part)


def _last_part(report: Report) -> Report:
    """Progress of what follows the sweep."""
    return lambda part: report(_SWEEP_SHARE + (1 - _SWEEP_SHARE) * part)
