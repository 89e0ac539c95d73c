"""Rules that fit a few heads."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from circuits import Head, PruningRule, Receiver, SelectionRule
from circuits.components import Node
from circuits.discovery.methods import method_names
from circuits.graph import ModelGraph
from circuits.model.native import NativeShape
from circuits.patching import ESTIMATORS
from circuits.pruning import sparsities_of
from circuits.search import ThresholdSelector
from circuits.truth import contestants
from circuits.truth.methods import by_default_rules, small_pruning, small_selection

SHAPE = NativeShape(2, 4, 8, 4, 3, 5)
GRAPH = ModelGraph(n_layers=2, n_heads=4, n_kv_heads=4)


def selected(rule: SelectionRule, effects: torch.Tensor, receiver: Receiver) -> tuple[Node, ...]:
    return ThresholdSelector(rule, GRAPH).select(effects, receiver)


def test_every_method_and_engine_competes_and_rules_differ_in_nothing_but_size() -> None:
    configs = {contestant.name: contestant.config(SHAPE, 3) for contestant in contestants()}
    assert {(config.method, config.engine) for config in configs.values()} >= {
        (method, engine)
        for method in ("app", "path-patching")
        for engine in ESTIMATORS.names()
        if engine != "reference"
    }
    assert {config.method for config in configs.values()} == set(method_names())
    assert configs["app-merged-flap-exact"].scorers == ("flap", "contrastive-flap")
    for name, config in configs.items():
        default = replace(config, selection=SelectionRule(), pruning=None)
        assert config.seed == 3
        assert name.endswith("default") == (name in by_default_rules())
        if name in by_default_rules() or config.recipe.chooses:
            assert config == default
        else:
            assert config.selection == small_selection(2, 4)
            assert config.pruning == small_pruning(default.pruning_rule, 8)


@pytest.mark.parametrize("n_true", [1, 2, 3, 4])
def test_thresholds_can_be_reached_by_a_few_senders(n_true: int) -> None:
    effects = torch.zeros(2, 4)
    effects[1, :n_true] = -0.5
    assert len(selected(small_selection(2, 4), effects.flatten(), Receiver.logits())) == n_true


def test_default_rules_find_nobody_among_four() -> None:
    effects, receiver = torch.eye(4)[0], Receiver(Head(1, 0), "q")
    assert selected(SelectionRule(), effects, receiver) == ()
    assert selected(small_selection(2, 4), effects, receiver) == (Head(0, 0),)


def test_nobody_stands_out_among_senders_that_do_less_than_an_equal_share() -> None:
    effects, receiver = torch.tensor([-0.12, 0.01, 0.0, 0.02]), Receiver(Head(1, 0), "v")
    assert selected(small_selection(2, 4), effects, receiver) == ()
    assert selected(small_selection(2, 5), effects, receiver) == (Head(0, 0),)


def test_in_large_models_the_published_rule_holds() -> None:
    published, rule = SelectionRule(), small_selection(30, 110)
    assert (rule.threshold, rule.logits_threshold) == (
        published.threshold,
        published.logits_threshold,
    )
    assert rule.min_effect == published.min_effect


def test_pruning_tries_every_size() -> None:
    rule = small_pruning(PruningRule("biggest"), 16)
    assert rule.cliff == "biggest"
    kept = [round(16 * (1 - sparsity)) for sparsity in sparsities_of(rule, torch.zeros(4, 4))]
    assert kept == list(range(16, 0, -1))


def test_pruning_by_share_leaves_out_no_more_than_an_equal_share() -> None:
    scores = torch.tensor([[5.0, 0.9, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]])
    rule = PruningRule("share", score_share=0.7)
    rules = rule, small_pruning(rule, 8), small_pruning(rule, 16)
    kept = [round(8 * (1 - sparsity)) for rule in rules for sparsity in sparsities_of(rule, scores)]
    assert kept == [1, 2, 3]
