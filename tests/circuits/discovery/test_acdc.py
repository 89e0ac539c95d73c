"""ACDC as a method: what it begins with, one threshold or several, and what is refused."""

from __future__ import annotations

import warnings

import pytest
import torch

from circuits import DiscoveryConfig, PruningRule, discover_circuit
from circuits.circuit import edge_mask, edges_among, without_dead_ends
from circuits.components import Head
from circuits.discovery import LossyStartWarning, Session
from circuits.discovery.result import Discovery
from circuits.edge_search import acdc, divergences_of
from circuits.errors import CircuitsError, SettingError
from circuits.masking import MaskedRuns
from circuits.summary.choice import rows

SETTINGS = {
    "mlps": "nodes",
    "method": "acdc",
    "n_prompts": 4,
    "n_validation_prompts": 4,
    "n_held_out_prompts": 4,
}
PRUNED = {
    "start": "pruned",
    "pruning": PruningRule("fixed", fixed_sparsity=0.9),
    "n_mean_prompts": 10,
}


@pytest.fixture(scope="module", name="one")
def found_at_one_threshold(toy) -> Discovery:
    with pytest.warns(LossyStartWarning, match="the edges that pruning left keep"):
        return discover_circuit(*toy, **SETTINGS, **PRUNED, divergence_threshold=0.003)


class TestOneThreshold:
    def test_it_is_the_published_circuit_of_the_heads_that_pruning_leaves(self, toy, one) -> None:
        session = Session.of(*toy, one.config)
        graph = session.graph
        start = edges_among(graph, one.candidates)
        found = acdc(divergences_of(MaskedRuns(session.activations)), graph, start, 0.003)
        assert edge_mask(one.circuit, graph).equal(without_dead_ends(graph, found.edges))
        assert len(one.candidates) == 1
        assert one.circuit.heads <= one.candidates
        assert 0 < len(one.circuit.edges) < int(start.sum())

    def test_it_is_reported_whatever_it_keeps(self, one) -> None:
        assert not one.sizes.reaches
        assert [point.ranking for point in one.sizes.points] == ["acdc 0.003"]
        assert one.performance == one.sizes.point.held_out.value
        assert "at a threshold of 0.003 nats" in rows(one, one.sizes)["chosen"]

    def test_every_stage_has_its_cost(self, one) -> None:
        names = [stage.stage for stage in one.cost.stages]
        assert names == ["behaviour", "means", "pruning", "ranking", "validation", "evaluation"]
        assert one.cost.of("ranking").flops > 0
        assert {"attribution", "acdc 0.003"} <= one.scores.keys()

    def test_it_survives_being_saved(self, one, tmp_path) -> None:
        one.save(tmp_path / "run")
        assert Discovery.load(tmp_path / "run") == one


class TestSeveral:
    def test_the_smallest_that_keeps_enough_and_what_is_known_is_not_found_again(
        self, toy, tmp_path, monkeypatch
    ) -> None:
        monkeypatch.setattr("circuits.discovery.acdc._MOST_THRESHOLDS", 2)
        monkeypatch.setattr("circuits.discovery.acdc._FIRST", 0.01)
        asked = {**SETTINGS, **PRUNED, "keep": 1.0, "directory": tmp_path}
        with warnings.catch_warnings():
            warnings.simplefilter("error", LossyStartWarning)
            found = discover_circuit(*toy, **asked)
        assert found.sizes.reaches
        tried = [point for point in found.sizes.points if point.ranking.startswith("acdc ")]
        assert len(tried) == 2
        thresholds = [float(point.ranking.removeprefix("acdc ")) for point in tried]
        assert thresholds == sorted(thresholds, reverse=True)
        assert len(found.sizes.point) == min(len(p) for p in found.sizes.points if p.keeps(1))
        monkeypatch.setattr("circuits.discovery.acdc.acdc", None)
        assert discover_circuit(*toy, **asked).circuit == found.circuit


def test_a_model_may_be_too_large_for_it(toy) -> None:
    with pytest.raises(SettingError, match=r"up to 262 .* than most_passes \(100\): begin with"):
        discover_circuit(*toy, **SETTINGS, most_passes=100)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "acdc"}, "needs mlps 'nodes'"),
        ({"method": "app", "start": "pruned"}, "or give method 'acdc' with mlps 'nodes'"),
        ({"mlps": "nodes", "divergence_threshold": 0.1}, "has no use for divergence_threshold"),
        ({**SETTINGS, "divergence_threshold": 0.0}, "divergence_threshold must be above 0"),
        ({**SETTINGS, "prune_by": "flap"}, "and start 'all' has no use for .* give start 'pruned'"),
        ({**SETTINGS, "engine": "exact"}, "has no use for engine"),
        ({**SETTINGS, "keep": None}, "needs keep"),
    ],
)
def test_what_does_not_go_together_is_refused(settings, words) -> None:
    with pytest.raises(CircuitsError, match=words):
        DiscoveryConfig(**settings)


def test_what_prunes_it() -> None:
    assert DiscoveryConfig(**SETTINGS).scorers == ()
    pruned = DiscoveryConfig(**SETTINGS, start="pruned", prune_by="contrastive-flap")
    assert pruned.scorers == ("contrastive-flap",)


def test_edges_among_heads_are_those_between_them_mlps_and_the_embedding(toy) -> None:
    graph = Session.of(*toy, DiscoveryConfig(**SETTINGS)).graph
    edges = edges_among(graph, [Head(0, 1), Head(2, 3)])
    allowed = {Head(0, 1), Head(2, 3)}
    for row, receiver in enumerate(graph.receivers):
        for column, sender in enumerate(graph.senders):
            ends = {end for end in (receiver.head, sender) if isinstance(end, Head)}
            is_edge = graph.reads(receiver, sender) and ends <= allowed
            assert bool(edges[row, column]) == is_edge
    assert not torch.equal(edges, edges_among(graph, allowed - {Head(0, 1)}))
