"""Every setting of a discovery, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from circuits.discovery.methods import Method, method_names, method_of, pruning_names
from circuits.metrics.registry import METRICS
from circuits.patching.estimators import ESTIMATORS
from circuits.pruning.rule import PruningRule
from circuits.runtime.settings import Checked, setting
from circuits.runtime.sizes import parse_bytes
from circuits.scores.registry import SCORERS, Contrast, ScoreSettings
from circuits.search.rules import SelectionRule
from circuits.search.source import SEARCHES, SearchSettings

_KEPT = "Which heads and paths are kept"


@dataclass(frozen=True)
class DiscoveryConfig(Checked):
    """Settings of `discover_circuit`.

    Raises:
        SettingError: A setting is unknown or out of range.

    >>> DiscoveryConfig(method="path-patching").scorers
    ()
    """

    method: str = setting(
        "app",
        "app (prune, then patch paths), path-patching (patch all paths), or pruning alone by what "
        "it is called.",
        choices=method_names,
        metavar="METHOD",
    )
    prune_by: str = setting(
        "attribution",
        "What app prunes by; merged-flap is the published recipe.",
        choices=pruning_names,
        metavar="SCORES",
        panel=_KEPT,
    )
    engine: str = setting(
        "sweep",
        "How path effects are found: sweep (estimated all at once, then verified), exact, or "
        "reference (slow).",
        choices=ESTIMATORS.names,
        metavar="ENGINE",
    )
    verify: bool = setting(
        True,
        "Leave estimates as they are. Without it, paths whose selection could flip are run "
        "exactly, and a random sample of the others.",
    )
    n_sampled_paths: int = setting(
        32,
        "About how many paths to verify at random, beside those that could flip.",
        least=0,
        option="--sampled-paths",
        metavar="N",
    )
    n_prompts: int = setting(16, "Prompt pairs to discover on.", least=1, metavar="N")
    seed: int = setting(0, "Seed of the prompts; the same gives the same.", metavar="N")
    metric: str = setting(
        "logit_diff",
        "From the logits where the answer is read to one number.",
        choices=METRICS.names,
        metavar="METRIC",
    )
    keep: float = setting(
        85.0,
        "With --method in-context, percent of the metric that the smallest circuit must keep on "
        "prompts that it was not searched on.",
        above=0,
        metavar="PERCENT",
        panel=_KEPT,
    )
    n_validation_prompts: int = setting(
        16,
        "With --method in-context, other prompts that the size is chosen by.",
        least=2,
        option="--validation-prompts",
        metavar="N",
    )
    n_held_out_prompts: int = setting(
        32,
        "With --method in-context, prompts behind these that the circuit is reported on.",
        least=2,
        option="--held-out-prompts",
        metavar="N",
    )
    selection: SelectionRule = setting(SelectionRule, "When a sender is kept.")
    pruning: PruningRule | None = setting(
        None, "How far to prune.", otherwise="by the rule that suits the scores"
    )
    contrast: Contrast = setting(
        "published",
        "Contrast of Contrastive-FLAP.",
        choices=get_args(Contrast),
        metavar="KIND",
        panel=_KEPT,
    )
    n_mean_prompts: int = setting(
        64,
        "Corrupted prompts to take mean head outputs over; at least the discovery's own, and all "
        "of a task that has fewer.",
        least=1,
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
        "How a circuit is found among effects: grow (from the logits downward), top-n (the "
        "strongest edges) or connect (all heads that are left).",
        choices=SEARCHES.names,
        metavar="SEARCH",
        panel=_KEPT,
    )
    n_edges: int = setting(
        100,
        "With --search top-n, how many edges to keep.",
        least=1,
        metavar="N",
        panel=_KEPT,
    )

    @property
    def recipe(self) -> Method:
        """What the method does."""
        return method_of(self.method)

    @property
    def search_name(self) -> str:
        """The method's own search, or that of the settings."""
        return self.recipe.search or self.search

    @property
    def scorers(self) -> tuple[str, ...]:
        """The scores that the method prunes by."""
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
        return self.method not in method_names() or self.recipe.patches

    @property
    def score_settings(self) -> ScoreSettings:
        """What scores need to know."""
        return ScoreSettings(self.contrast, self.seed)

    @property
    def search_settings(self) -> SearchSettings:
        """What searches need to know."""
        return SearchSettings(self.verify, self.n_sampled_paths, self.n_edges, self.seed)
