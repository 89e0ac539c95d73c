"""The benchmark of cost on a toy: what it charges, and what it compares."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from benchmarks import cost, cost_report
from benchmarks.agreement import agreement, bound_check, overlap
from benchmarks.cost_picture import picture
from benchmarks.searches import Searches
from circuits import PruningRule, SelectionRule, discover_grid
from circuits.discover import run_discovery
from circuits.discovery.config import DiscoveryConfig

CONFIG = DiscoveryConfig(
    method="app",
    n_prompts=3,
    n_mean_prompts=6,
    selection=SelectionRule(threshold=0.8, logits_threshold=0.6, min_effect=0.001),
    pruning=PruningRule("biggest", 0.2, 0.5, 0.1),
)
DENSE = replace(CONFIG, method="path-patching")


@pytest.fixture(scope="module")
def exact(toy):
    return run_discovery(*toy, replace(DENSE, engine="exact"))


@pytest.fixture(scope="module")
def dense(toy):
    with Searches.begun(*toy, DENSE) as searches:
        yield searches


@pytest.fixture(scope="module")
def measured(toy, exact):
    said = []
    with pytest.MonkeyPatch.context() as patch:
        smaller = partial(discover_grid, thresholds=(0.8, 1.0), min_effects=(0.001,))
        patch.setattr("benchmarks.searches.discover_grid", smaller)
        parts = list(cost.measure_task(*toy, CONFIG, cost.Prompts(3, 2), exact, said.append))
    task = {name: value for part in parts for name, value in part.items()}
    assert [next(reversed(part)) for part in parts] == ["machine", "agreement", "grid"]
    assert len(task["grid"]["points"]) == 2
    assert [task["n_prompts"], task["grid"]["n_prompts"]] == [3, 2]
    assert any("grid" in line for line in said)
    return {"model": "toy", "tasks": {"ioi": json.loads(json.dumps(task))}}


def test_a_search_that_goes_on_is_charged_with_the_sweep(toy, dense):
    alone = run_discovery(*toy, DENSE)
    profile = dense.profile(dense.verified.cost)
    assert profile.flops["sweep"] > 0 < profile.flops["verification"]
    assert profile.total == alone.cost.flops
    assert profile.search == alone.cost.flops - alone.cost.of("evaluation").flops
    assert dense.verified.circuit == alone.circuit


def test_searches_do_not_take_each_others_paths(dense):
    before = dense.verified.cost.of("patching").flops
    assert dense.widest.verification.verified >= dense.verified.verification.verified
    again = replace(dense).verified
    assert again.cost.of("patching").flops == before > 0


def test_agreement_with_itself_is_whole(exact, dense):
    same = overlap(exact, exact)
    assert {same[name] for name in ("jaccard", "precision", "recall", "edge_jaccard")} == {1.0}
    found = agreement(dense, dense, exact)
    assert found["dense verified"]["jaccard"] == 1.0
    assert found["bound"]["missed_paths"] == 0
    assert found["bound"]["share_within"] >= found["bound"]["coverage"]


def test_a_circuit_that_lacks_edges_agrees_less(exact):
    edges = frozenset(sorted(exact.circuit.edges, key=lambda edge: abs(edge.effect))[1:])
    fewer = replace(exact, circuit=replace(exact.circuit, edges=edges))
    assert overlap(fewer, exact)["edge_jaccard"] == pytest.approx(1 - 1 / len(exact.circuit.edges))


def test_every_way_is_in_the_tables_and_the_picture(measured):
    measured["tasks"]["ioi"]["machine"]["commit"] = "abc1234"
    text, task = cost_report.markdown(measured), measured["tasks"]["ioi"]
    assert f"{task['naive_passes']:,} / {task['naive_passes_all_receivers']:,}" in text
    assert "Measured on commit abc1234" in text
    assert "the paper's own" in text
    assert "| ioi | 5.60 | 9.25 | 5.04 | 4.32 |" in text
    bars: Any = picture(measured).data
    assert [bar.name for bar in bars] == [
        "naive",
        "exact",
        "swept, verified",
        "APP swept, verified",
    ]
    assert bars[0].y[0] == task["naive_passes"]
    per_pass, stages = task["forward_pass_flops"], task["app"]["verified"]["flops"]
    assert bars[3].y[0] * per_pass == pytest.approx(sum(stages.values()))


def test_a_bound_too_low_is_found_out(exact, dense):
    """Every effect that is left out is looked at: none is within a bound below all of them."""
    found = replace(
        dense.swept, verification=replace(dense.verified.verification, missed_effect=0.0)
    )
    lying = replace(dense)
    vars(lying)["verified"] = found
    checked = bound_check(lying, exact)
    assert checked["paths_left_out"] > 3
    assert checked["share_within"] < 0.5
    assert checked["largest_effect_left_out"] > 0
