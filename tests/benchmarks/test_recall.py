"""The benchmark of pruning's recall on a toy: the circuit is what an exact search found."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import recall
from circuits import Head
from circuits.pruning import keep_best
from tests.circuits.conftest import toy_discovery


@pytest.fixture(scope="module")
def measured(toy):
    bridge, task = toy
    exact = toy_discovery(bridge, task, method="path-patching", engine="exact")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recall, "get_task", {task.name: task}.__getitem__)
        return recall.measure_task(bridge, exact), recall.every_score(bridge, exact), exact


def test_recall_is_what_the_best_heads_share_with_the_circuit(measured):
    found, scores, exact = measured
    truth = exact.circuit.heads
    assert found["heads"] == len(truth) > 1
    assert list(found["scores"]) == list(scores)
    for name, of_heads in scores.items():
        for sparsity in recall.SPARSITIES:
            kept = keep_best(of_heads, sparsity)
            share = found["scores"][name]["recall"][str(sparsity)]
            assert share == sum(head in truth for head in kept) / len(truth)


def test_a_score_that_knows_the_circuit_ranks_it_first():
    truth = frozenset({Head(1, 1), Head(2, 0)})
    scores = torch.zeros(3, 4)
    scores[1, 1], scores[2, 0] = 2.0, 1.0
    found = recall.measure_score(scores, truth)
    assert (found["auc"], found["recall"]["0.6"]) == (1.0, 1.0)
    assert recall.measure_score(-scores, truth)["auc"] == 0.0


def test_cuts_are_those_of_a_discovery_with_the_rule_that_suits_the_scores(measured, toy):
    found, _, exact = measured
    for name, (prune_by, rule) in recall.CUTS.items():
        cut = found["cuts"][name]
        app = toy_discovery(*toy, prune_by=prune_by, pruning=rule, verify=False)
        assert cut["candidates"] == len(app.candidates)
        assert cut["recall"] == recall.recall(app.candidates, exact.circuit.heads)


def test_markdown_names_every_score_and_cut(measured):
    found = json.loads(json.dumps(measured[0]))
    machine = {"torch": "2", "commit": "abc"}
    text = recall.markdown({"model": "toy", "tasks": {"toy": found}, "machine": machine})
    assert all(f"| {name} |" in text for name in found["scores"])
    assert f"toy, {found['heads']} heads" in text
    assert all(name in text for name in recall.CUTS)
    assert "commit abc" in text
