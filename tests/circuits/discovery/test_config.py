from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from circuits.discovery.config import ENGINES, METHODS, DiscoveryConfig
from circuits.pruning import PruningRule
from circuits.search.grow import SelectionRule


def test_defaults() -> None:
    config = DiscoveryConfig()
    assert (config.method, config.engine, config.seed) == ("app", "sweep", 0)
    assert METHODS == (
        "app",
        "path-patching",
        "attribution",
        "flap",
        "contrastive-flap",
        "merged-flap",
    )
    assert ENGINES == ("reference", "exact", "sweep")


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
    assert config.pruning_names == prunings
    assert config.patches_paths == patches


def test_what_app_prunes_by() -> None:
    published = DiscoveryConfig(prune_by="merged-flap")
    assert published.pruning_names == ("flap", "contrastive-flap")
    assert published.pruning_rule == PruningRule("first")
    assert DiscoveryConfig().pruning_rule == PruningRule("share")
    assert DiscoveryConfig(method="merged-flap").pruning_rule == PruningRule("first")
    asked = PruningRule("biggest")
    assert DiscoveryConfig(pruning=asked).pruning_rule == asked


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "magic"}, "method"),
        ({"engine": "fast"}, "engine"),
        ({"prune_by": "weight"}, "prune_by"),
        ({"contrast": "squared"}, "contrast"),
        ({"metric": "kl_loss"}, "unknown metric 'kl_loss'; known metrics: logit_diff, prob_diff"),
        ({"n_prompts": 0}, "n_prompts must be at least 1, got 0"),
        ({"n_mean_prompts": -3}, "n_mean_prompts must be at least 1, got -3"),
        ({"memory_bytes": 0}, "memory_bytes must be at least 1"),
    ],
)
def test_nonsense(settings, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        DiscoveryConfig(**settings)


def test_json_round_trip() -> None:
    config = DiscoveryConfig(
        method="path-patching",
        engine="exact",
        seed=7,
        selection=SelectionRule(threshold=1 / 3, distance="linear"),
        pruning=PruningRule("smooth-biggest", step=0.02),
        contrast="paired",
    )
    adapter = TypeAdapter(DiscoveryConfig)
    assert adapter.validate_json(adapter.dump_json(config)) == config
