"""Every setting of a discovery, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from circuits.discovery.methods import (
    ACDC,
    Method,
    any_method_names,
    method_of,
    pruning_names,
    recipe_of,
)
from circuits.discovery.uses import OF_A_CHOICE, OF_ACDC, OF_THRESHOLDS, check_used
from circuits.edge_scores.registry import EdgeScoreSettings
from circuits.errors import SettingError
from circuits.graph import Mlps, Positions
from circuits.metrics.registry import METRICS
from circuits.patching.estimators import engine_names
from circuits.pruning.rule import PruningRule
from circuits.runtime.settings import Checked, default_of, setting
from circuits.runtime.sizes import LARGEST_SEED, MOST_PROMPTS, parse_bytes, parse_percent
from circuits.scores.registry import SCORERS, Contrast, ScoreSettings
from circuits.search.rules import SelectionRule
from circuits.search.source import SEARCHES, SearchSettings

_KEPT = "Which heads and paths are kept"
Start = Literal["all", "pruned"]


@dataclass(frozen=True)
class DiscoveryConfig(Checked):
    """Settings of `discover_circuit`.

    Raises:
        SettingError: A setting is unknown or out of range.

    >>> DiscoveryConfig(method="path-patching").scorers
    ()
    """

    method: str = setting(
        "in-context",
        "in-context (the smallest set of heads that keeps enough, and the paths among them), app "
        "(prune, then patch paths), path-patching (patch all paths), or pruning alone by what it "
        "is called.",
        choices=any_method_names,
        metavar="METHOD",
    )
    mlps: Mlps = setting(
        "path",
        "Whether MLPs belong to the paths between heads (path), or MLPs and the embedding are "
        "nodes and edges are found among all (nodes), as EAP-IG and MIB have it; --method is then "
        "in-context, acdc, a score of edges such as eap-ig, app or path-patching.",
        choices=get_args(Mlps),
        metavar="MLPS",
    )
    positions: Positions = setting(
        "all",
        "With --mlps nodes: an edge for all token positions, or for each span that the task names.",
        choices=get_args(Positions),
        metavar="WHICH",
    )
    prune_by: str = setting(
        "attribution",
        "With --method app or --start pruned, what prunes; merged-flap is APP's published recipe.",
        choices=pruning_names,
        metavar="SCORES",
        panel=_KEPT,
    )
    engine: str = setting(
        "sweep",
        "How path effects are found: sweep (estimated all at once, then verified), exact, or "
        "reference (slow).",
        choices=engine_names,
        metavar="ENGINE",
    )
    verify: bool = setting(
        True,
        "Leave estimates as they are. Without it, paths whose selection could flip are run "
        "exactly, and a random sample of the others.",
    )
    n_sampled_paths: int = setting(
        32,
        "How many paths each look at the rest verifies at random, beside those that could flip.",
        least=0,
        option="--sampled-paths",
        metavar="N",
    )
    n_prompts: int = setting(
        16, "Prompt pairs to discover on.", least=1, most=MOST_PROMPTS, metavar="N"
    )
    seed: int = setting(
        0,
        "Seed of the prompts; the same gives the same.",
        least=0,
        most=LARGEST_SEED,
        metavar="N",
    )
    metric: str = setting(
        "logit_diff",
        "From the logits where the answer is read to one number.",
        choices=METRICS.names,
        metavar="METRIC",
    )
    keep: float | None = setting(
        85.0,
        "Percent of the metric that the circuit must keep on prompts that it was not searched on; "
        "none for the published rule, a threshold (app).",
        above=0,
        metavar="PERCENT",
        panel=_KEPT,
        parse=parse_percent,
    )
    n_validation_prompts: int = setting(
        16,
        "Other prompts, that the size is chosen by.",
        least=2,
        most=MOST_PROMPTS,
        option="--validation-prompts",
        metavar="N",
    )
    n_held_out_prompts: int = setting(
        32,
        "Prompts that neither search nor choice has seen, which the circuit is reported on.",
        least=2,
        most=MOST_PROMPTS,
        option="--held-out-prompts",
        metavar="N",
    )
    selection: SelectionRule = setting(SelectionRule, "When a sender is kept.")
    pruning: PruningRule | None = setting(
        None, "How far to prune.", otherwise="by the rule that suits the scores"
    )
    contrast: Contrast = setting(
        "published",
        "With Contrastive-FLAP, its contrast.",
        choices=get_args(Contrast),
        metavar="KIND",
        panel=_KEPT,
    )
    n_mean_prompts: int = setting(
        64,
        "Corrupted prompts to take mean head outputs over; at least the discovery's own, and all "
        "of a task that has fewer.",
        least=1,
        most=MOST_PROMPTS,
        metavar="N",
    )
    memory_bytes: int | None = setting(
        None,
        "About how much memory path patching may use beside the model's own, such as 512MB or "
        "4GiB; changes no number.",
        least=1,
        otherwise="a safe share of what is free",
        option="--memory-budget",
        metavar="SIZE",
        parse=parse_bytes,
    )
    ignore_behaviour: bool = setting(
        False,
        "Search for a circuit even where the prompts do not show that the model does the task.",
    )
    n_templates: int | None = setting(
        None,
        "Draw prompts from so many of the task's templates, by chance of the seed.",
        least=1,
        otherwise="all of them, in a fixed order",
        option="--templates",
        metavar="N",
    )
    search: str = setting(
        "grow",
        "With --method app or path-patching, how a circuit is found among effects: grow (from the "
        "logits downward), top-n (the strongest edges) or connect (all heads that are left).",
        choices=SEARCHES.names,
        metavar="SEARCH",
        panel=_KEPT,
    )
    n_edges: int = setting(
        100, "With --search top-n, how many edges to keep.", least=1, metavar="N", panel=_KEPT
    )
    start: Start = setting(
        "all",
        "With --method acdc, the edges it begins with: all, or those among MLPs, the embedding and "
        "the heads that pruning (--prune-by) leaves; all others are then corrupted (pruned).",
        choices=get_args(Start),
        metavar="EDGES",
        panel=_KEPT,
    )
    divergence_threshold: float | None = setting(
        None,
        "With --method acdc, the rise of the KL divergence in nats from which on it keeps an edge; "
        "its circuit is then reported whatever it keeps.",
        above=0,
        otherwise="several, and the smallest circuit that keeps enough",
        metavar="NATS",
        panel=_KEPT,
    )
    most_passes: int = setting(
        default_of(EdgeScoreSettings, "most_passes"),
        "With --method acdc or exact, how many forward passes there may be: one for each edge (of "
        "acdc, for each threshold); more are refused.",
        least=1,
        metavar="N",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in any_method_names():
            return  # Read from a file, of another package's method.
        check_used(self)
        if self.recipe.chooses and self.keep is None:
            otherwise = "" if self.chooses_edges else "; or give method 'app', by a threshold"
            raise SettingError(
                f"method {self.method!r} needs keep, the percentage that is to be kept{otherwise}"
            )
        if not self.recipe.chooses:
            object.__setattr__(self, "keep", None)

    def with_method(self, method: str) -> DiscoveryConfig:
        """The same question by another method, without what that has no use for.

        >>> DiscoveryConfig(keep=90.0).with_method("path-patching").keep is None
        True
        """
        if recipe_of(method, self.mlps).chooses:
            unused = {"selection": SelectionRule(min_effect=self.selection.min_effect)}
            names = OF_THRESHOLDS if self.keep else (*OF_THRESHOLDS, "keep")
        else:
            unused, names = {}, OF_A_CHOICE
        usual = {name: default_of(DiscoveryConfig, name) for name in (*names, *OF_ACDC)}
        return replace(self, method=method, **unused, **usual)

    @property
    def recipe(self) -> Method:
        """What the method does."""
        return recipe_of(self.method, self.mlps)

    @property
    def chooses_edges(self) -> bool:
        """Whether edges among MLPs, heads and the embedding are chosen by what they keep."""
        return self.has_mlps and self.recipe.chooses

    @property
    def has_mlps(self) -> bool:
        """Whether MLPs and the embedding are nodes, and edges direct."""
        return self.mlps == "nodes"

    @property
    def removes_edges(self) -> bool:
        """Whether edges are removed by ACDC."""
        return self.chooses_edges and self.method == ACDC.name

    @property
    def starts_pruned(self) -> bool:
        """Whether it begins with the heads that pruning leaves."""
        return self.removes_edges and self.start == "pruned"

    @property
    def search_name(self) -> str:
        """The method's own search, or that of the settings."""
        return self.recipe.search or self.search

    @property
    def scorers(self) -> tuple[str, ...]:
        """The scores that the method prunes by."""
        if self.chooses_edges and not self.starts_pruned:
            return ()
        own = self.recipe.scorers
        return (method_of(self.prune_by).scorers or ()) if own is None else own

    @property
    def pruning_rule(self) -> PruningRule:
        """The rule that was asked for, or else the one that suits the scores."""
        if self.pruning is not None:
            return self.pruning
        return PruningRule(SCORERS.get(self.scorers[0]).cut if self.scorers else "first")

    @property
    def patches_paths(self) -> bool:
        """Whether the method goes on to path patching; one that is unknown here may have."""
        return self.method not in any_method_names() or self.recipe.patches

    @property
    def finds_edges(self) -> bool:
        """Whether the circuit has edges: paths that were patched, or edges that were chosen."""
        return self.chooses_edges or self.patches_paths

    @property
    def score_settings(self) -> ScoreSettings:
        """What scores need to know."""
        return ScoreSettings(self.contrast, self.seed)

    @property
    def search_settings(self) -> SearchSettings:
        """What searches need to know."""
        return SearchSettings(self.verify, self.n_sampled_paths, self.n_edges, self.seed)
