"""Discoveries where MLPs and the embedding are nodes: edges chosen, verified, saved."""

from __future__ import annotations

import math

import pytest
import torch

from circuits import Circuit, DiscoveryConfig, discover_circuit
from circuits.circuit import edge_mask
from circuits.components import Embedding
from circuits.discovery import Session
from circuits.discovery.edges import rank
from circuits.discovery.result import Discovery
from circuits.errors import CircuitsError, InputError, SettingError
from circuits.evaluation import EdgeEvaluator
from circuits.masking import MaskedRuns
from circuits.metrics import logit_diff
from circuits.runtime.workers import Workers
from circuits.summary import choice
from circuits.truth import load_truth

SETTINGS = {
    "mlps": "nodes",
    "keep": 70.0,
    "n_prompts": 8,
    "n_validation_prompts": 8,
    "n_held_out_prompts": 8,
}


@pytest.fixture(scope="module", name="chosen")
def chosen_edges_of(toy) -> Discovery:
    return discover_circuit(*toy, **SETTINGS)


def validation(toy) -> EdgeEvaluator:
    pairs, _ = Session.of(*toy, DiscoveryConfig(**SETTINGS)).other_pairs
    return EdgeEvaluator(toy[0], pairs, logit_diff)


class TestChosen:
    def test_it_keeps_what_was_asked_for_where_it_was_chosen(self, toy, chosen) -> None:
        assert chosen.circuit.mlps == "nodes"
        assert Embedding() in chosen.circuit.nodes
        on = validation(toy)
        (kept,) = on.faithfulness(edge_mask(chosen.circuit, on.graph)[None])
        point = chosen.sizes.point
        assert 100 * kept.value == pytest.approx(point.validation.value, abs=0.1)
        assert point.keeps(70)
        assert len(point) == len(chosen.circuit.edges)
        assert chosen.performance == point.held_out.value

    def test_each_edge_has_what_corrupting_it_does_in_the_circuit(self, toy, chosen) -> None:
        on = validation(toy)
        graph, edges = on.graph, edge_mask(chosen.circuit, on.graph)
        whole = on.faithfulness(edges[None])[0].value
        assert chosen.edge_worth.keys() == chosen.circuit.connections
        for edge in sorted(chosen.circuit.edges)[:6]:
            without = edges.clone()
            without[graph.row(edge.receiver), graph.column(edge.sender)] = False
            lost = whole - on.faithfulness(without[None])[0].value
            assert edge.effect == pytest.approx(-lost, abs=1e-3)
            assert chosen.edge_worth[edge.connection].value == pytest.approx(100 * lost, abs=0.1)

    def test_no_smaller_circuit_that_was_tried_would_do(self, chosen) -> None:
        enough = [point for point in chosen.sizes.points if point.keeps(70)]
        assert len(chosen.sizes.point) == min(map(len, enough))

    def test_both_rankings_propose(self, chosen) -> None:
        assert {"in-context", "eap-ig"} <= {point.ranking for point in chosen.sizes.points}
        n_edges = chosen.rankings["eap-ig"].graph.n_edges
        assert all(ranking.n_known == n_edges for ranking in chosen.rankings.values())

    def test_every_stage_has_its_cost(self, chosen) -> None:
        stages = [stage.stage for stage in chosen.cost.stages]
        assert stages == ["behaviour", "ranking", "validation", "evaluation"]

    def test_it_is_the_same_again(self, toy, chosen) -> None:
        again = discover_circuit(*toy, **SETTINGS)
        assert again.circuit == chosen.circuit
        assert again.sizes == chosen.sizes

    def test_it_survives_being_saved(self, chosen, tmp_path) -> None:
        chosen.save(tmp_path / "run")
        assert Discovery.load(tmp_path / "run") == chosen
        assert Circuit.from_json((tmp_path / "run" / "circuit.json").read_text()) == chosen.circuit

    def test_another_circuit_can_be_taken(self, chosen) -> None:
        larger = max(chosen.sizes.points, key=len)
        other = chosen.at(edges=len(larger))
        assert len(other.circuit.edges) == len(other.sizes.point)
        assert chosen.at(keep=70).circuit == chosen.circuit
        with pytest.raises(InputError, match="or edges"):
            chosen.at(heads=3)

    def test_it_says_how_many_edges_are_shown_to_be_needed(self, chosen) -> None:
        assert "needed" in choice.rows(chosen, chosen.sizes)["single edges"]

    def test_all_figures_of_it(self, toy, chosen) -> None:
        evaluation = chosen.evaluate(*toy)
        assert math.isfinite(evaluation.performance.value)


def test_a_score_of_edges_is_a_method_and_effects_in_large_circuits_are_estimates(
    toy, monkeypatch
) -> None:
    monkeypatch.setattr("circuits.edge_search.choose.MOST_LEFT_OUT", 3)
    found = discover_circuit(*toy, **SETTINGS, method="eap")
    assert set(found.rankings) == {"eap"}
    assert len(found.circuit.edges) > 3
    assert found.edge_worth is None
    on = validation(toy)
    edges = edge_mask(found.circuit, on.graph)
    slopes = on.runs.slopes(edges.float()).gradients.mean(-1)
    scale = float((on.baselines[1] - on.baselines[0]).mean())
    for edge in sorted(found.circuit.edges)[:6]:
        slope = float(slopes[on.graph.row(edge.receiver), on.graph.column(edge.sender)])
        assert edge.effect == pytest.approx(-slope / scale, rel=1e-3, abs=1e-6)
    assert "estimated" in choice.rows(found, found.sizes)["single edges"]


def test_scores_that_all_prompts_share_rank_every_edge(toy, monkeypatch) -> None:
    monkeypatch.setattr("circuits.edge_scores.learned._USUAL_STEPS", 3)
    session = Session.of(*toy, DiscoveryConfig(**SETTINGS, method="mattr"))
    ranking = rank(session, MaskedRuns(session.activations))["mattr"]
    assert ranking.n_known == ranking.graph.n_edges


def test_random_scores_are_of_the_seed(toy) -> None:
    rankings = []
    for seed in (0, 1):
        session = Session.of(*toy, DiscoveryConfig(**SETTINGS, method="random", seed=seed))
        rankings.append(rank(session, MaskedRuns(session.activations))["random"].values)
    assert not torch.equal(rankings[0].nan_to_num(), rankings[1].nan_to_num())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "eap"}, "needs mlps 'nodes'"),
        ({"mlps": "nodes", "method": "merged-flap"}, "these are the methods with mlps 'nodes'"),
        ({"mlps": "nodes", "engine": "exact"}, "has no use for engine"),
        ({"mlps": "nodes", "search": "top-n"}, "has no use for search"),
        ({"mlps": "nodes", "keep": None}, "needs keep"),
    ],
)
def test_what_does_not_go_together_is_refused(toy, settings, words) -> None:
    with pytest.raises(CircuitsError, match=words):
        discover_circuit(*toy, **settings)


def test_exact_scores_take_no_more_passes_than_they_may(toy) -> None:
    with pytest.raises(SettingError, match=r"more than most_passes \(9\)"):
        discover_circuit(*toy, **SETTINGS, method="exact", most_passes=9)


def test_workers_have_no_part(toy, tmp_path) -> None:
    with pytest.raises(SettingError, match="one process does all: leave workers out"):
        discover_circuit(*toy, **SETTINGS, workers=Workers(count=2), directory=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_heads_of_a_model_whose_circuit_is_known_are_found() -> None:
    truth = load_truth("hand-ioi")
    found = discover_circuit(truth.model, truth.task, mlps="nodes")
    assert found.circuit.heads <= truth.heads
    assert found.performance > 80
