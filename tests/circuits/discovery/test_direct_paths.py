"""Path patching where MLPs and the embedding are nodes: the published searches on direct edges."""

from __future__ import annotations

import pytest

from circuits import DiscoveryConfig, Head, discover_circuit
from circuits.circuit import edge_mask, edges_among
from circuits.components import MLP, Embedding
from circuits.discovery import Session
from circuits.discovery.pipeline import stages_of
from circuits.discovery.result import Discovery
from circuits.errors import CircuitsError, SettingError
from circuits.evaluation import EdgeEvaluator
from circuits.metrics import logit_diff
from circuits.patching import ESTIMATORS, direct_effects, effect_table
from circuits.search import SelectionRule
from circuits.studies import SearchRecord, discover_grid, discover_study
from tests.circuits.patching.test_estimators import Nothing

RULE = SelectionRule(
    threshold=0.4, logits_threshold=0.3, min_effect=0.002, distance="linear", alpha=0.0
)
SETTINGS = {"mlps": "nodes", "method": "path-patching", "n_prompts": 4, "selection": RULE}


def found_by(toy, **settings) -> Discovery:
    return discover_circuit(*toy, **(SETTINGS | settings))


@pytest.fixture(scope="module", name="measured")
def by_exact_effects(toy) -> Discovery:
    return found_by(toy, engine="exact")


def prompts(toy):
    return Session.of(*toy, DiscoveryConfig(**SETTINGS)).pairs


class TestGrown:
    def test_each_edge_has_its_exact_effect(self, toy, measured) -> None:
        edges = measured.circuit.edges
        assert measured.circuit.mlps == "nodes"
        assert {Embedding, MLP, Head} == {type(edge.sender) for edge in edges}
        assert any(isinstance(edge.receiver.node, MLP) for edge in edges)
        strongest = sorted(edges, key=lambda edge: -abs(edge.effect))
        for edge in (*strongest[:4], *strongest[-2:]):
            (effect,) = direct_effects(toy[0], prompts(toy), edge.receiver, [edge.sender])[
                [measured.effects.graph.column(edge.sender)]
            ]
            assert edge.effect == pytest.approx(float(effect), rel=1e-3, abs=1e-5)

    def test_senders_that_are_kept_are_looked_at_themselves(self, measured) -> None:
        """And the rule decides among all that a receiver may read."""
        graph, circuit = measured.effects.graph, measured.circuit
        looked_at = [r for node in circuit.nodes for r in graph.inputs(node)]
        assert all(not measured.effects.into(receiver).isnan().any() for receiver in looked_at)
        for edge in circuit.edges:
            assert edge.receiver.is_logits or edge.receiver.node in circuit.nodes

    def test_verified_estimates_give_the_same(self, toy, measured) -> None:
        swept = found_by(toy)
        assert swept.circuit.connections == measured.circuit.connections
        effects = {edge.connection: edge.effect for edge in measured.circuit.edges}
        for edge in swept.circuit.edges:
            assert edge.effect == pytest.approx(effects[edge.connection], abs=0.02)
        assert swept.verification.verified > 0

    def test_performance_is_that_of_the_strict_test(self, toy, measured) -> None:
        on = EdgeEvaluator(toy[0], prompts(toy), logit_diff)
        (kept,) = on.faithfulness(edge_mask(measured.circuit, on.graph)[None])
        assert measured.performance == pytest.approx(100 * kept.value, abs=0.1)

    def test_it_is_saved_whole(self, measured, tmp_path) -> None:
        measured.save(tmp_path / "run")
        again = Discovery.load(tmp_path / "run")
        assert again.circuit == measured.circuit
        assert again.effects.graph == measured.effects.graph
        assert again.effects.values.equal(measured.effects.values) or (
            again.effects.values.nan_to_num(9).equal(measured.effects.values.nan_to_num(9))
        )
        assert again.config == measured.config


def test_pruned_heads_have_no_edges_and_mlps_all(toy) -> None:
    found = found_by(toy, method="app", search="connect", n_mean_prompts=10)
    heads = found.candidates
    assert 0 < len(heads) < 12
    assert found.circuit.heads == heads
    graph = found.provenance.model.graph("nodes")
    assert bool((edge_mask(found.circuit, graph) <= edges_among(graph, heads)).all())
    assert {node for node in found.circuit.nodes if not isinstance(node, Head)} == {
        Embedding(),
        *map(MLP, range(3)),
    }
    assert found.effects.n_known == int(edges_among(graph, heads).sum())


def test_the_strongest_of_all_edges(toy) -> None:
    found = found_by(toy, search="top-n", n_edges=20, verify=False)
    every = effect_table(toy[0], prompts(toy), mlps="nodes").values.abs().nan_to_num(0).flatten()
    least = float(every.sort(descending=True).values[19])
    assert 0 < len(found.circuit.edges) <= 20
    assert all(abs(edge.effect) >= least * 0.999 for edge in found.circuit.edges)


def test_significance_keeps_edges_that_prompts_show(toy) -> None:
    rule = SelectionRule(kind="significance", min_effect=0.0, false_discovery_rate=0.2)
    loose = found_by(toy, n_prompts=16, selection=rule, verify=False)
    strict = SelectionRule(kind="significance", min_effect=0.05, false_discovery_rate=0.2)
    fewer = found_by(toy, n_prompts=16, selection=strict, verify=False)
    assert fewer.circuit.connections < loose.circuit.connections
    assert all(abs(edge.effect) > 0.05 for edge in fewer.circuit.edges)
    with pytest.raises(SettingError, match="one of 16 senders is significant below"):
        found_by(toy, selection=rule)


def test_a_grid_takes_the_fewest_edges_that_keep_enough(toy, tmp_path) -> None:
    config = DiscoveryConfig(**SETTINGS, verify=False)
    grid = discover_grid(
        *toy, thresholds=(0.001, 0.01, 0.4), min_effects=(0.0,), keep=1.0, config=config
    )
    sizes = [len(point.circuit.edges) for point in grid.points]
    assert [point.size for point in grid.points] == sizes
    enough = [point.size for point in grid.points if point.performance >= 1.0]
    assert enough
    assert grid.chosen.size == min(enough)
    grid.save(tmp_path / "grid")
    record = SearchRecord.load(tmp_path / "grid")
    assert [record.size(point) for point in record.points] == sizes


def test_a_study_counts_edges(toy) -> None:
    study = discover_study(*toy, n_trials=3, keep=1.0, config=DiscoveryConfig(**SETTINGS))
    assert study.found.circuit.mlps == "nodes"
    assert study.best.size == len(study.best.circuit.edges)


def test_stages() -> None:
    def stages(**settings):
        return stages_of(DiscoveryConfig(mlps="nodes", **settings))

    assert stages(method="path-patching") == ("behaviour", "patching", "evaluation")
    assert stages(method="app") == ("behaviour", "means", "pruning", "patching", "evaluation")
    assert stages(method="eap") == ("behaviour", "ranking", "validation", "evaluation")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "merged-flap"}, "these are the methods with mlps 'nodes'"),
        ({"n_mean_prompts": 8}, "has no use for n_mean_prompts"),
        ({"n_validation_prompts": 8}, "no use for n_validation_prompts .* give method in-context"),
        ({"method": "eap", "selection": RULE}, "give method 'app' or 'path-patching'"),
        ({"engine": "exakt"}, "engine 'exakt'; did you mean 'exact'"),
    ],
)
def test_what_does_not_go_together_is_refused(toy, settings, words) -> None:
    with pytest.raises(CircuitsError, match=words):
        found_by(toy, **settings)


def test_an_engine_of_paths_alone_has_no_direct_edges(toy) -> None:
    with (
        ESTIMATORS.with_entry(Nothing()),
        pytest.raises(CircuitsError, match="unknown engine of direct edges 'nothing'"),
    ):
        found_by(toy, engine="nothing")
