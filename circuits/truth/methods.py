"""The methods as they run on small models, and the rules that fit so few heads."""

from __future__ import annotations

from dataclasses import dataclass, replace

from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.methods import METHODS, edge_method_names, pruning_names, recipe_of
from circuits.graph import Mlps
from circuits.model.native import NativeShape
from circuits.patching.estimators import DIRECT_ESTIMATORS, ESTIMATORS
from circuits.pruning.rule import PruningRule
from circuits.search.rules import SelectionRule

_GROUP = 4


@dataclass(frozen=True)
class Contestant:
    """A method as the benchmark runs it.

    Attributes:
        name: What rows call it.
        method: The method.
        engine: How it measures path effects, if it does.
        prune_by: Which scores "app" prunes by.
        default_rules: Take the rules for models of hundreds of heads, not those for small ones.
        mlps: Whether MLPs belong to the paths, or are nodes and edges direct.

    >>> from circuits.truth import truth_record
    >>> exact = Contestant("exact", method="path-patching", engine="exact")
    >>> exact.config(truth_record("hand-induction").shape, seed=0).selection.min_effect  # 16 heads
    0.0625
    """

    name: str
    method: str
    engine: str = "exact"
    prune_by: str = "attribution"
    default_rules: bool = False
    mlps: Mlps = "path"

    def config(self, shape: NativeShape, seed: int) -> DiscoveryConfig:
        """The settings on a model of this shape: they look at its sizes, never at its truth."""
        config = DiscoveryConfig(
            method=self.method,
            prune_by=self.prune_by,
            engine=self.engine,
            seed=seed,
            mlps=self.mlps,
        )
        if self.default_rules or config.recipe.chooses:
            return config
        return replace(
            config,
            selection=small_selection(shape.n_layers, shape.n_heads),
            pruning=small_pruning(config.pruning_rule, shape.n_layers * shape.n_heads),
        )


_SLOW = "reference"
"""The engine that is the definition itself; `exact` gives the same numbers."""


def contestants() -> tuple[Contestant, ...]:
    """Every method of the benchmark, those that were registered included.

    >>> [one.name for one in contestants() if one.method == "path-patching"]
    ['path-patching-exact', 'path-patching-sweep', 'path-patching-exact-default']
    """
    engines = [name for name in ESTIMATORS.names() if name != _SLOW]
    alone = [name for name in pruning_names() if name not in METHODS]
    merged = [name for name in pruning_names() if name in METHODS]
    return (
        Contestant("in-context", "in-context", engine="sweep"),
        *(Contestant(f"app-{engine}", "app", engine) for engine in engines),
        *(Contestant(f"app-{name}-exact", "app", prune_by=name) for name in merged),
        *(Contestant(f"path-patching-{e}", "path-patching", e) for e in engines),
        *(Contestant(name, name) for name in (*alone, *merged)),
        Contestant("path-patching-exact-default", "path-patching", default_rules=True),
    )


def edge_contestants() -> tuple[Contestant, ...]:
    """The same where MLPs and the embedding are nodes: every method that finds direct edges.

    >>> [one.name for one in edge_contestants() if one.method == "app"]
    ['app-exact', 'app-sweep']
    """
    engines = [name for name in DIRECT_ESTIMATORS.names() if name != _SLOW]
    recipes = [recipe_of(name, "nodes") for name in edge_method_names()]
    return (
        *(Contestant(one.name, one.name, "sweep", mlps="nodes") for one in recipes if one.chooses),
        *(
            Contestant(f"{one.name}-{engine}", one.name, engine, mlps="nodes")
            for one in recipes
            if one.patches
            for engine in engines
        ),
    )


def by_default_rules() -> frozenset[str]:
    """Names of those that take the rules for models of hundreds of heads."""
    return frozenset(one.name for one in contestants() if one.default_rules)


def small_selection(n_layers: int, n_heads: int) -> SelectionRule:
    """The published rule, with thresholds that few senders can reach.

    Among n senders of which m have the same effect and the others none, the effect of each stands
    sqrt((n - m) (n - 1) / (n m)) standard deviations above the mean: for one of eight 2.5, for two
    of eight 1.6, whatever the effect. Published thresholds (2 to 2.5, and 2 / sqrt(n) on top) are
    made for hundreds of senders, and select nothing among eight. Here a threshold is at most half
    of what `_GROUP` equal senders reach (one half, so that somewhat unequal ones pass together),
    which changes nothing from about 105 senders on; and it does not grow with distance, of which
    there is none to speak of.

    So low a threshold finds some sender that stands out even where none has an effect. These are
    kept out by the smallest effect that counts, published as 0.001 to 0.02 for hundreds of heads:
    here, at least the share of each head if all did equal harm, 1 / (n_layers n_heads).

    >>> rule = small_selection(n_layers=2, n_heads=8)
    >>> rule.min_effect, rule.threshold < SelectionRule().threshold
    (0.0625, True)
    """
    published = SelectionRule()
    return SelectionRule(
        threshold=min(published.threshold, _reach(n_heads) / 2),
        logits_threshold=min(published.logits_threshold, _reach(n_layers * n_heads) / 2),
        min_effect=max(published.min_effect, 1 / (n_layers * n_heads)),
        distance="linear",
        alpha=0.0,
    )


def _reach(n: int) -> float:
    """How far `_GROUP` equal effects of n stand above the mean, in standard deviations."""
    group = min(_GROUP, n / 2)
    return ((n - group) * (n - 1) / (n * group)) ** 0.5


def small_pruning(rule: PruningRule, n: int) -> PruningRule:
    """The same rule at every possible number of heads.

    From 60 % sparsity on, as published, a model of eight heads could keep three. And where hundreds
    of heads share what is left out by their share of the score, in a small model it can be all that
    a head of the circuit has: here it is at most the equal share of one head, 1 / n.
    """
    return replace(
        rule,
        lowest_sparsity=0.0,
        highest_sparsity=1 - 1 / n,
        step=1 / n,
        score_share=max(rule.score_share, 1 - 1 / n),
    )
