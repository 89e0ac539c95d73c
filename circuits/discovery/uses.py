"""Which settings a method has a use for: others are refused where they are given, not ignored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from circuits.edge_scores.registry import EDGE_SCORERS
from circuits.errors import SettingError
from circuits.runtime.settings import default_of, in_words
from circuits.search.rules import SelectionRule

if TYPE_CHECKING:
    from circuits.discovery.config import DiscoveryConfig

OF_A_CHOICE = ("keep", "n_validation_prompts", "n_held_out_prompts")
"""Settings of methods that choose heads by what they keep."""
OF_PATHS = ("engine", "verify", "n_sampled_paths", "n_mean_prompts", "memory_bytes")
"""Settings of methods that patch paths, or replace heads by their means."""
OF_THRESHOLDS = ("prune_by", "pruning", "contrast", "search", "n_edges")
"""Settings of methods that prune, or that search by thresholds (as those of `SelectionRule`)."""
OF_ACDC = ("start", "divergence_threshold", "most_passes")
_OF_A_PRUNED_START = ("prune_by", "pruning", "contrast", "n_mean_prompts")


def check_used(config: DiscoveryConfig) -> None:
    """Raise SettingError for a setting that is given and that the method has no use for."""
    for name in _unused(config):
        _check(config, name, getattr(config, name), default_of(type(config), name))
    if not config.recipe.chooses:
        return
    for name, value in vars(config.selection).items():
        if name != "min_effect" or config.chooses_edges:
            _check(config, name, value, default_of(SelectionRule, name))


def _unused(config: DiscoveryConfig) -> Iterator[str]:
    of_others = OF_THRESHOLDS if config.recipe.chooses else OF_A_CHOICE
    paths = OF_PATHS if config.chooses_edges else ("positions",)
    if config.has_mlps and not config.scorers:
        # Means are what heads are pruned by alone: edges are corrupted.
        paths = dict.fromkeys((*paths, "n_mean_prompts"))
    used = _OF_A_PRUNED_START if config.starts_pruned else ()
    yield from (name for name in (*paths, *of_others) if name not in used)
    if not config.removes_edges:
        used = uses_of_score(config.method) if config.chooses_edges else ()
        yield from (name for name in OF_ACDC if name not in used)


def uses_of_score(name: str) -> tuple[str, ...]:
    """The settings that a score of edges has a use for; none where there is no such score."""
    return getattr(EDGE_SCORERS.get(name), "uses", ()) if name in EDGE_SCORERS else ()


def _check(config: DiscoveryConfig, name: str, value: Any, usual: Any) -> None:
    if value is None or value == usual:
        return
    where = " with mlps 'nodes'" if config.has_mlps else ""
    if config.removes_edges and name in _OF_A_PRUNED_START:
        where += f" and start {config.start!r}"
    raise SettingError(
        f"method {config.method!r}{where} has no use for {name} (got {in_words(value)}): leave it "
        f"out, or give {_what_has(config, name)}"
    )


def _what_has(config: DiscoveryConfig, name: str) -> str:
    """What to give for a setting to be of use."""
    if name in OF_ACDC:
        return "method 'acdc' with mlps 'nodes'"
    if name == "positions":
        return "method in-context" if config.has_mlps else "mlps 'nodes'"
    if config.removes_edges and name in _OF_A_PRUNED_START:
        return "start 'pruned'"
    if name in OF_A_CHOICE:
        return "method in-context"
    if config.chooses_edges:
        return "method 'app' or 'path-patching'"
    return "mlps 'path'" if config.has_mlps else "method app or path-patching"
