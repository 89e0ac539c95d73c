"""The candidates of many pruning rules, from the same scores and curves. Knows no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

from jaxtyping import Float
from torch import Tensor

from circuits.components import Head
from circuits.pruning import (
    CliffRule,
    PerformanceOf,
    Pruning,
    PruningRule,
    find_cliff,
    keep_best,
    prune,
    sparsities_of,
)


class Candidates:
    """Which heads a pruning rule leaves, without evaluating anything again."""

    def __init__(
        self,
        scores: Mapping[str, Float[Tensor, "layer head"]],
        curves: Mapping[str, Pruning],
        rule: PruningRule,
    ) -> None:
        """Scores, the whole curve of each of them, and the rule that the curves are of."""
        self._scores, self._curves, self.rule = scores, curves, rule

    def by_cliff(self, cliff: CliffRule) -> PruningRule:
        """The rule that cuts the curve there."""
        return replace(self.rule, cliff=cliff, full_curve=True)

    def by_sparsity(self, sparsity: float) -> PruningRule:
        """The rule that cuts there, whatever performance does."""
        return PruningRule("fixed", fixed_sparsity=round(sparsity, 6))

    def candidates(self, rule: PruningRule | None) -> frozenset[Head] | None:
        """The heads that any pruning by this rule keeps; None for all."""
        if rule is None:
            return None
        return frozenset().union(
            *(keep_best(self._scores[name], self._sparsity(name, rule)) for name in self._scores)
        )

    def widest(self, sparsity: float) -> frozenset[Head] | None:
        """The heads left by any cliff, or from this sparsity on; None for all."""
        if not self._scores:
            return None
        rules = [self.by_cliff(cliff) for cliff in get_args(CliffRule)]
        rules.append(self.by_sparsity(sparsity))
        return frozenset().union(*(self.candidates(rule) or () for rule in rules))

    def prunings(self, rule: PruningRule | None, performances: PerformanceOf) -> dict[str, Pruning]:
        """Every pruning by this rule; without a curve, its performance is evaluated."""
        if rule is None:
            return {}
        if not rule.needs_curve:
            scores = self._scores.items()
            return {name: prune(of_heads, rule, performances) for name, of_heads in scores}
        return {name: self._on_curve(name, rule) for name in self._scores}

    def _on_curve(self, name: str, rule: PruningRule) -> Pruning:
        curve = self._curves[name]
        cut = find_cliff(curve.performances, rule.cliff)
        kept = keep_best(self._scores[name], curve.sparsities[cut])
        return replace(curve, candidates=kept, cut=cut)

    def _sparsity(self, name: str, rule: PruningRule) -> float:
        if not rule.needs_curve:
            return sparsities_of(rule, self._scores[name])[0]
        curve = self._curves[name]
        return curve.sparsities[find_cliff(curve.performances, rule.cliff)]
