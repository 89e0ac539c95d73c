"""The strict test of sets of edges, against hooks on the bridge and against its formula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from circuits.circuit import Circuit, circuit_of_edges, every_edge, without_dead_ends
from circuits.errors import MismatchError
from circuits.evaluation import EdgeEvaluator, EvaluationConfig, Evaluator, evaluate_circuit
from circuits.forward import Activations
from circuits.forward.passes import at_end
from circuits.metrics import logit_diff, prob_diff
from circuits.statistics import Bootstrap
from tests.circuits.circuit.test_dead_ends import drawn, one_node_at_a_time
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES
from tests.circuits.masking.slow_twin import weighted_metric_by_hand
from tests.circuits.prompts import ragged_pairs

QUICK = Bootstrap(n_resamples=50)


def evaluator_of(family: str, n: int = 5, metric=prob_diff) -> EdgeEvaluator:
    return EdgeEvaluator(shared_model(family), ragged_pairs(n), metric)


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_hooks_on_the_bridge(family: str) -> None:
    bridge, evaluator = shared_model(family), evaluator_of(family, 2, logit_diff)
    graph, pairs = evaluator.graph, evaluator.pairs
    edges = drawn(graph, 3)[1]
    left = one_node_at_a_time(graph, edges)
    assert 0 < left.sum() < edges.sum()
    kept = weighted_metric_by_hand(bridge, pairs, graph, left.float(), logit_diff)
    torch.testing.assert_close(
        evaluator.metrics(edges[None])[0].float(), kept, rtol=1e-4, atol=1e-4
    )
    with torch.no_grad():
        none, everything = (
            logit_diff(at_end(bridge(tokens), pairs), pairs).mean()
            for tokens in (pairs.corrupted, pairs.clean)
        )
    (found,) = evaluator.faithfulness(edges[None], QUICK)
    expected = float((kept.mean() - none) / (everything - none))
    assert found.value == pytest.approx(expected, abs=1e-4 / abs(float(everything - none)))


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_the_corrupted_run_and_everything_the_clean_one(family: str) -> None:
    evaluator = evaluator_of(family)
    whole = every_edge(evaluator.graph)
    activations = Activations(shared_model(family), evaluator.pairs, prob_diff)
    ends = torch.stack([activations.corrupted_metric, activations.clean_metric]).double()
    assert evaluator.metrics(torch.stack([~whole & False, whole])).equal(ends)
    # Not by looking at what is known: the run itself ends there, too.
    assert evaluator.baselines.equal(ends)
    found = evaluator.runs.metrics(torch.stack([0 * whole, whole]).float()).double()
    torch.testing.assert_close(found, ends, rtol=1e-4, atol=1e-5)


def test_faithfulness_is_a_ratio_of_means() -> None:
    evaluator = evaluator_of("llama", 7, logit_diff)
    sets = drawn(evaluator.graph, 3)[1:]
    none, everything, *kept = evaluator.with_baselines(sets).numpy()
    found = evaluator.faithfulness(sets, QUICK)
    for estimate, own in zip(found, kept, strict=True):
        expected = (own.mean() - none.mean()) / (everything.mean() - none.mean())
        assert estimate.value == pytest.approx(expected, abs=1e-12)
        by_prompt = ((own - none) / (everything - none)).mean()
        assert estimate.value != pytest.approx(by_prompt, abs=1e-3)
        assert estimate.low < estimate.value < estimate.high


def test_intervals_draw_prompts_for_all_runs_alike() -> None:
    """Half way from none to all on every prompt: half, whatever prompts are drawn."""
    runs = np.array([[1.0, 2.0, 5.0], [3.0, 8.0, 6.0], [2.0, 5.0, 5.5]])
    evaluator = evaluator_of("llama", 3)
    evaluator.__dict__["baselines"] = torch.tensor(runs[:2])
    evaluator.metrics = lambda edges, progress: torch.tensor(runs[2:])
    (found,) = evaluator.faithfulness(every_edge(evaluator.graph)[None], QUICK)
    assert found.value == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))


def test_edges_that_lead_nowhere_change_nothing() -> None:
    evaluator = evaluator_of("qwen3")
    some = drawn(evaluator.graph, 3)[1:2]
    pruned = without_dead_ends(evaluator.graph, some)
    assert not pruned.equal(some)
    assert evaluator.metrics(some).equal(evaluator.metrics(pruned))


def test_edges_of_another_graph_are_refused() -> None:
    with pytest.raises(MismatchError, match="must be 40 receivers x 16 senders, got 1 x 3 x 3"):
        evaluator_of("llama").metrics(torch.ones(1, 3, 3, dtype=torch.bool))


class TestEvaluation:
    """`evaluate_circuit`, and so `Discovery.evaluate` and the command, with MLPs as nodes."""

    @staticmethod
    def circuit(evaluator: Evaluator) -> Circuit:
        graph = evaluator.model.graph("nodes")
        return circuit_of_edges(graph, without_dead_ends(graph, drawn(graph, 3)[1]))

    def test_its_edges_are_judged_on_their_graph(self) -> None:
        evaluator = Evaluator(shared_model("llama"), ragged_pairs(7))
        discovery = Evaluator(shared_model("llama"), ragged_pairs(5, seed=3))
        circuit = self.circuit(evaluator)
        config = EvaluationConfig(n_resamples=50)
        figures = evaluate_circuit(circuit, evaluator, discovery, config=config)
        graph = evaluator.model.graph("nodes")
        assert figures.edge_sparsity == 1 - len(circuit.edges) / graph.n_edges
        both = EdgeEvaluator(evaluator.model, evaluator.pairs)
        edges = drawn(graph, 3)[1:2]
        (expected,) = both.faithfulness(edges, Bootstrap(n_resamples=50))
        assert figures.edge_level is not None
        assert figures.edge_level.faithfulness == expected
        kept, full = both.metrics(edges).mean(), both.baselines[1].mean()
        assert figures.edge_level.performance.value == pytest.approx(
            float(100 * kept / full), rel=3e-6
        )
        assert figures.edge_gap is not None
        assert figures.edge_gap.discovery.value == pytest.approx(
            float(100 * discovery.edge_metrics(circuit).mean() / discovery.full_metric),
            rel=3e-6,
        )

    def test_other_prompts_are_run_anew(self) -> None:
        evaluator = Evaluator(shared_model("llama"), ragged_pairs(7))
        circuit = self.circuit(evaluator)
        first = evaluator.edge_metrics(circuit)
        other = evaluator.on(ragged_pairs(4))
        assert len(other.edge_metrics(circuit)) == len(other.edge_baselines("nodes")[0]) == 4
        assert evaluator.edge_metrics(circuit).equal(first)

    def test_a_circuit_of_another_model_is_refused(self) -> None:
        evaluator = Evaluator(shared_model("llama"), ragged_pairs(3))
        other = replace(self.circuit(evaluator), n_layers=9)
        with pytest.raises(MismatchError, match="9 layers x 4 heads"):
            evaluator.edge_metrics(other)
