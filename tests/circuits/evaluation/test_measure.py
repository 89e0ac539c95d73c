"""All figures of one circuit."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from circuits.ablation import edge_ablated_metric
from circuits.circuit import Circuit
from circuits.components import Head, all_heads
from circuits.errors import MismatchError
from circuits.evaluation import EvaluationConfig, Evaluator, HeadScores, evaluate_circuit
from circuits.evaluation.config import ABLATIONS
from circuits.metrics import logit_diff
from tests.circuits.ablation.slow_twin import all_edges
from tests.circuits.conftest import shared_model
from tests.circuits.families import N_HEADS, N_LAYERS
from tests.circuits.progress import written_down
from tests.circuits.prompts import ragged_pairs

EVERYTHING = frozenset(all_heads(N_LAYERS, N_HEADS))
SOME = frozenset({Head(0, 1), Head(1, 3), Head(2, 2)})
QUICK = EvaluationConfig(n_resamples=50)
SCORES = HeadScores("invented", torch.arange(12.0).view(N_LAYERS, N_HEADS))
CIRCUIT = Circuit(SOME, all_edges(SOME), N_LAYERS, N_HEADS)


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(shared_model("llama"), ragged_pairs(7), ragged_pairs(9))


@pytest.fixture(scope="module")
def discovery() -> Evaluator:
    return Evaluator(shared_model("llama"), ragged_pairs(5, seed=3))


@pytest.fixture(scope="module")
def figures(evaluator, discovery):
    return evaluate_circuit(CIRCUIT, evaluator, discovery, SCORES, QUICK)


def share(evaluator, heads, ablation="mean") -> float:
    kept, full = evaluator.metrics([heads, EVERYTHING], ablation).mean(1)
    return float(100 * kept / full)


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_node_level(figures, evaluator, ablation) -> None:
    kept = figures.node_level[ablation]
    assert kept.performance.value == pytest.approx(share(evaluator, SOME, ablation))
    none = share(evaluator, frozenset(), ablation)
    expected = (share(evaluator, SOME, ablation) - none) / (100 - none)
    assert kept.faithfulness.value == pytest.approx(expected)
    for estimate in (kept.performance, kept.faithfulness):
        assert estimate.low < estimate.value < estimate.high
    if ablation == "mean":
        assert figures.performance == kept.performance


def test_edge_level(figures, evaluator) -> None:
    edges = edge_ablated_metric(evaluator.model, evaluator.pairs, CIRCUIT.edges, logit_diff)
    expected = 100 * float(edges.double().mean()) / evaluator.full_metric
    assert figures.edge_level.performance.value == pytest.approx(expected)
    # All edges among the heads are there, so that nothing but the engine differs.
    same = figures.node_level["resample"]
    assert figures.edge_level.performance.value == pytest.approx(same.performance.value, rel=1e-4)
    assert figures.edge_level.faithfulness.low == pytest.approx(same.faithfulness.low, rel=1e-3)


def test_sparsity_of_heads_and_paths(figures) -> None:
    assert figures.sparsity == 1 - 3 / 12
    # Llama's four heads share two keys and values: 8 inputs in each of the upper layers.
    assert figures.edge_sparsity == pytest.approx(1 - len(CIRCUIT.edges) / (8 * (4 + 8) + 12))


def test_completeness_and_minimality(figures, evaluator) -> None:
    assert figures.completeness.value == pytest.approx(share(evaluator, EVERYTHING - SOME))
    assert figures.minimality.keys() == SOME
    for head, cost in figures.minimality.items():
        expected = share(evaluator, SOME) - share(evaluator, SOME - {head})
        assert cost.value == pytest.approx(expected)
        assert cost.low < cost.value < cost.high


def test_gaps(figures, evaluator, discovery) -> None:
    assert figures.prompts == "held-out"
    here, there = share(evaluator, SOME), share(discovery, SOME)
    assert figures.gap.discovery.value == pytest.approx(there)
    assert figures.gap.difference.value == pytest.approx(here - there)
    there = 100 * float(discovery.edge_metrics(CIRCUIT).mean()) / discovery.full_metric
    assert figures.edge_gap.discovery.value == pytest.approx(there)
    here = figures.edge_level.performance.value
    assert figures.edge_gap.difference.value == pytest.approx(here - there)
    wide = figures.gap.difference.high - figures.gap.difference.low
    assert wide > figures.performance.high - figures.performance.low


def test_of_the_prompts(figures, evaluator) -> None:
    assert (figures.n_prompts, figures.seed, figures.confidence) == (7, 12, 0.95)
    assert figures.full_metric.value == pytest.approx(evaluator.full_metric)


def test_curves(figures) -> None:
    assert list(figures.curves) == ["signed", "absolute"]
    assert figures.curves["signed"].score == "invented"
    assert figures.curves["signed"].points[-1].faithfulness.value == pytest.approx(1)


def test_alone(evaluator) -> None:
    """Without other prompts there is no gap, without scores no curve."""
    figures = evaluate_circuit(CIRCUIT, evaluator, config=QUICK)
    assert figures.prompts == "discovery"
    assert figures.gap is None and figures.edge_gap is None
    assert figures.curves == {}


def test_heads_without_edges_have_no_edge_level(evaluator, discovery) -> None:
    circuit = Circuit.of_heads(SOME, N_LAYERS, N_HEADS)
    figures = evaluate_circuit(circuit, evaluator, discovery, SCORES, QUICK)
    assert figures.edge_level is None
    assert figures.edge_sparsity is None and figures.edge_gap is None
    assert figures.gap is not None


def test_of_no_head(evaluator) -> None:
    figures = evaluate_circuit(Circuit.of_heads([], N_LAYERS, N_HEADS), evaluator, config=QUICK)
    for kept in (*figures.node_level.values(), figures.edge_level):
        assert kept.faithfulness.value == pytest.approx(0, abs=1e-5)
    assert figures.completeness.value == 100
    assert figures.minimality == {}
    assert figures.sparsity == figures.edge_sparsity == 1


def test_of_the_whole_model(evaluator) -> None:
    whole = Circuit(EVERYTHING, all_edges(EVERYTHING), N_LAYERS, N_HEADS)
    figures = evaluate_circuit(whole, evaluator, config=QUICK)
    for kept in (*figures.node_level.values(), figures.edge_level):
        for part in ("value", "low", "high"):
            assert getattr(kept.performance, part) == pytest.approx(100, abs=1e-2)
            assert getattr(kept.faithfulness, part) == pytest.approx(1, abs=1e-4)
    assert figures.sparsity == figures.edge_sparsity == 0
    assert len(figures.minimality) == 12


@pytest.mark.parametrize("has_edges", [True, False])
def test_progress_rises_to_the_end(llama, discovery, has_edges: bool) -> None:
    fresh, (progress, heard) = Evaluator(llama, ragged_pairs(3), ragged_pairs(9)), written_down()
    circuit = CIRCUIT if has_edges else Circuit.of_heads(SOME, N_LAYERS, N_HEADS)
    evaluate_circuit(circuit, fresh, discovery, SCORES, QUICK, progress)
    assert all(low <= high for low, high in pairwise(heard))
    assert heard[0] < 0.1 and max(heard) <= 1
    if has_edges:
        assert heard[-1] == pytest.approx(1)


def test_confidence_and_rankings(evaluator) -> None:
    def of(**settings):
        config = replace(QUICK, n_resamples=500, **settings)
        return evaluate_circuit(CIRCUIT, evaluator, scores=SCORES, config=config)

    wide, narrow = of(confidence=0.99), of(confidence=0.5, rankings=("absolute",))
    assert wide.performance.low < narrow.performance.low
    assert narrow.performance.high < wide.performance.high
    assert list(narrow.curves) == ["absolute"]
    assert narrow.confidence == 0.5


def test_fit_for_json(figures) -> None:
    read = json.loads(json.dumps(figures.to_dict()))
    assert read["performance"]["value"] == figures.performance.value
    assert read["node_level"]["zero"]["faithfulness"].keys() == {"value", "low", "high"}
    assert list(read["minimality"]) == ["0.1", "1.3", "2.2"]
    assert read["curves"]["signed"]["points"][-1]["n_heads"] == 12
    assert read["gap"]["difference"]["value"] == figures.gap.difference.value


def test_a_circuit_of_another_model(evaluator) -> None:
    with pytest.raises(MismatchError, match="of 2 layers x 4 heads, this model has 3 x 4; eval"):
        evaluate_circuit(Circuit.of_heads([], 2, 4), evaluator)
