from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.methods import METHODS, method_names, method_of, pruning_names
from circuits.errors import SettingError
from circuits.patching import ESTIMATORS
from circuits.pruning import PruningRule
from circuits.scores.registry import ScoreSettings
from circuits.search import SEARCHES, SearchSettings, SelectionRule


def test_defaults() -> None:
    config = DiscoveryConfig()
    assert (config.method, config.engine, config.seed) == ("in-context", "sweep", 0)
    assert (config.search, config.n_edges) == ("grow", 100)


def test_names() -> None:
    alone = ("attribution", "mask-attribution", "eap-ig", "flap", "contrastive-flap")
    assert METHODS.names() == ("in-context", "app", "path-patching", "merged-flap")
    assert method_names() == (*METHODS.names(), *alone)
    assert pruning_names() == ("merged-flap", *alone)
    assert ESTIMATORS.names() == ("reference", "exact", "sweep")
    assert SEARCHES.names() == ("grow", "top-n", "connect")
    with pytest.raises(SettingError, match="unknown method 'flip'; did you mean 'flap'"):
        method_of("flip")


@pytest.mark.parametrize(
    ("method", "prunings", "patches"),
    [
        ("app", ("attribution",), True),
        ("attribution", ("attribution",), False),
        ("path-patching", (), True),
        ("flap", ("flap",), False),
        ("contrastive-flap", ("contrastive-flap",), False),
        ("merged-flap", ("flap", "contrastive-flap"), False),
    ],
)
def test_what_a_method_does(method, prunings, patches: bool) -> None:
    config = DiscoveryConfig(method=method)
    assert config.scorers == prunings
    assert config.patches_paths == patches


def test_what_app_prunes_by() -> None:
    published = DiscoveryConfig(method="app", prune_by="merged-flap")
    assert published.scorers == ("flap", "contrastive-flap")
    assert published.pruning_rule == PruningRule("first")
    assert DiscoveryConfig(method="app").pruning_rule == PruningRule("share")
    assert DiscoveryConfig(method="merged-flap").pruning_rule == PruningRule("first")
    asked = PruningRule("biggest")
    assert DiscoveryConfig(method="app", pruning=asked).pruning_rule == asked


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"method": "magic"},
            "unknown method 'magic'; known methods: in-context, app, path-patching, merged",
        ),
        ({"engine": "exacter"}, "unknown engine 'exacter'; did you mean 'exact'"),
        (
            {"prune_by": "weight"},
            "unknown prune_by 'weight'; known values of prune_by: merged-flap, attrib",
        ),
        ({"prune_by": "app"}, "unknown prune_by 'app'"),
        ({"search": "best"}, "unknown search 'best'; known searches: grow, top-n"),
        ({"metric": "kl_loss"}, "unknown metric 'kl_loss'; known metrics: logit_diff, prob_diff"),
        ({"n_prompts": 0}, "n_prompts must be at least 1 and at most 100000, got 0"),
        ({"n_mean_prompts": -3}, "n_mean_prompts must be at least 1 and at most 100000, got -3"),
        ({"n_prompts": 10**8}, "n_prompts must be at least 1 and at most 100000, got 100000000"),
        ({"n_validation_prompts": 10**8}, "n_validation_prompts must be .* at most 100000"),
        ({"n_held_out_prompts": 10**8}, "n_held_out_prompts must be .* at most 100000"),
        ({"n_mean_prompts": 10**8}, "n_mean_prompts must be .* at most 100000"),
        ({"memory_bytes": 0}, "memory_bytes must be at least 1, got 0"),
        ({"n_templates": 0}, "n_templates must be at least 1, got 0"),
        ({"n_sampled_paths": -1}, "n_sampled_paths must be at least 0, got -1"),
        ({"n_edges": 0}, "n_edges must be at least 1, got 0"),
    ],
)
def test_nonsense(settings, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        DiscoveryConfig(**settings)


def test_an_unknown_contrast(without_type_checks) -> None:
    with pytest.raises(SettingError, match="unknown contrast 'squared'; did you mean 'paired'"):
        DiscoveryConfig(contrast="squared")


def test_what_scores_and_searches_get() -> None:
    config = DiscoveryConfig(
        method="app", contrast="paired", seed=3, verify=False, n_sampled_paths=5, n_edges=7
    )
    assert config.score_settings == ScoreSettings("paired", 3)
    assert config.search_settings == SearchSettings(False, 5, 7, 3)


def test_json_round_trip() -> None:
    config = DiscoveryConfig(
        method="path-patching",
        engine="exact",
        seed=7,
        selection=SelectionRule(threshold=1 / 3, distance="linear"),
        pruning=PruningRule("smooth-biggest", step=0.02),
        contrast="paired",
        search="top-n",
        n_edges=7,
    )
    adapter = TypeAdapter(DiscoveryConfig)
    assert adapter.validate_json(adapter.dump_json(config)) == config


def test_another_method_on_the_graph_of_mlps() -> None:
    config = DiscoveryConfig(mlps="nodes", keep=70.0)
    other = config.with_method("eap")
    assert (other.method, other.mlps, other.keep) == ("eap", "nodes", 70.0)
    assert other.finds_edges
    with pytest.raises(SettingError, match="these are the methods with mlps 'nodes'"):
        config.with_method("merged-flap")
