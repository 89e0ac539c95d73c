"""Completeness and minimality of circuits of edges, against runs put together by hand."""

from __future__ import annotations

import pytest
import torch

from circuits.circuit import circuit_of_edges, every_edge, without_dead_ends
from circuits.components import Embedding, Head
from circuits.evaluation import EdgeEvaluator, EvaluationConfig, Evaluator, evaluate_circuit
from circuits.evaluation.saved import SavedEvaluation
from circuits.metrics import logit_diff
from circuits.summary import tables
from tests.circuits.circuit.test_dead_ends import drawn, one_node_at_a_time
from tests.circuits.conftest import shared_model
from tests.circuits.masking.slow_twin import weighted_metric_by_hand
from tests.circuits.prompts import ragged_pairs

CONFIG = EvaluationConfig(n_resamples=20)


@pytest.mark.parametrize("family", ["gemma3", "gpt-neox"])
def test_each_is_a_run_with_those_edges_corrupted(family: str) -> None:
    bridge, pairs = shared_model(family), ragged_pairs(2)
    on = EdgeEvaluator(bridge, pairs)
    graph = on.graph
    edges = without_dead_ends(graph, drawn(graph, 3)[1])
    circuit = circuit_of_edges(graph, edges)
    found = evaluate_circuit(circuit, Evaluator(bridge, pairs), config=CONFIG)

    def kept(some: torch.Tensor) -> float:
        left = one_node_at_a_time(graph, some)
        by_hand = weighted_metric_by_hand(bridge, pairs, graph, left.float(), logit_diff).mean()
        none, everything = on.baselines.mean(-1)
        return 100 * float((by_hand - none) / (everything - none))

    tolerance = {"rel": 1e-3, "abs": 0.1}
    outside = every_edge(graph) & ~edges
    assert found.completeness.value == pytest.approx(kept(outside), **tolerance)
    assert found.minimality.keys() == circuit.nodes
    whole = kept(edges)
    node, without = max(circuit.nodes), edges.clone()
    for edge in circuit.connections:
        if node in (edge.sender, edge.receiver.node):
            without[graph.row(edge.receiver), graph.column(edge.sender)] = False
    assert found.minimality[node].value == pytest.approx(whole - kept(without), **tolerance)


def test_without_the_embedding_nothing_is_left(llama, pairs) -> None:
    on = Evaluator(llama, pairs)
    graph = on.model.graph("nodes")
    circuit = circuit_of_edges(graph, every_edge(graph))
    found = evaluate_circuit(circuit, on, config=CONFIG)
    assert found.minimality[Embedding()].value == pytest.approx(100)
    assert found.completeness.value == pytest.approx(0)


def test_they_are_kept_and_told(llama, pairs, tmp_path) -> None:
    graph = Evaluator(llama, pairs).model.graph("nodes")
    circuit = circuit_of_edges(graph, without_dead_ends(graph, drawn(graph, 3)[1]))
    found = evaluate_circuit(circuit, Evaluator(llama, pairs), config=CONFIG)
    saved = SavedEvaluation.of(circuit, CONFIG, found)
    saved.save(tmp_path)
    assert SavedEvaluation.load(tmp_path) == saved
    shown = tables.minimality(found)
    assert shown.headers[0] == "node"
    assert {row[0] for row in shown.rows} == set(map(str, circuit.nodes))
    assert "without its edges" in tables.evaluated(found, circuit)["completeness"]
    assert any(isinstance(node, Head) for node in found.minimality)
