"""True nodes and direct edges: read off weights, against effects; and the figures of methods."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch

from circuits.circuit import edge_mask
from circuits.components import MLP, Connection, Embedding, Head
from circuits.errors import UnsupportedModelError
from circuits.evaluation import EdgeEvaluator
from circuits.model import tokenizer_of
from circuits.patching import effect_table
from circuits.runtime.progress import Progress
from circuits.truth import (
    Contestant,
    DirectTruth,
    SetScore,
    contestants,
    edge_contestants,
    list_truths,
    load_truth,
    run_truth,
)
from circuits.truth import bench as bench_module
from circuits.truth.direct import wired_edges
from tests.circuits.cli.command_line import circuits, error_of

NAMES = list_truths()
WIRED = [name for name in NAMES if not name.startswith("siit")]
EAP = Contestant("eap", "eap", "sweep", mlps="nodes")


@lru_cache
def direct_of(name: str) -> DirectTruth:
    truth = load_truth(name)
    pairs = truth.task.sample(tokenizer_of(truth.model), n=8, seed=3)
    return DirectTruth(truth, EdgeEvaluator(truth.model, pairs))


@pytest.mark.parametrize("name", WIRED)
class TestWired:
    def test_what_weights_do_not_connect_has_no_effect(self, name: str) -> None:
        """Every edge of the model, also of the heads that do not matter, corrupted alone."""
        direct = direct_of(name)
        pairs = direct.on.pairs[:2]
        effects = effect_table(direct.truth.model, pairs, engine="exact", mlps="nodes")
        outside = ~wired_edges(direct.truth, direct.graph) & ~effects.values.isnan()
        assert int(outside.sum()) > 10
        assert float(effects.values[outside].abs().max()) < 1e-4

    def test_true_edges_do_all_of_it_and_each_is_needed(self, name: str) -> None:
        direct = direct_of(name)
        edges = direct.edges
        (kept,) = direct.on.faithfulness(edges[None])
        assert kept.value == pytest.approx(1, abs=1e-3)
        for row, column in edges.nonzero().tolist():
            fewer = edges.clone()
            fewer[row, column] = False
            (less,) = direct.on.faithfulness(fewer[None])
            assert abs(less.value - kept.value) > 0.01

    def test_paths_between_heads_are_among_them(self, name: str) -> None:
        """But for those that lead through MLPs, and edges into a head that no prompt shows."""
        direct = direct_of(name)
        between = {c for c in direct.truth.connections if not c.receiver.is_logits}
        assert between <= direct.circuit.connections
        last = [c.sender for c in direct.truth.connections if c.receiver.is_logits]
        assert {c.sender for c in direct.circuit.connections} >= {*last, Embedding()}


def test_compiled_maps_are_mlps_of_the_circuit() -> None:
    """The answer passes two maps that drop what the distractors computed."""
    edges = direct_of("compiled-induction").circuit.connections
    names = ("embed -> 0.2.v", "0.2 -> 1.1.k", "1.1 -> m1", "m1 -> m2", "m2 -> logits")
    assert edges == set(map(Connection.parse, names))
    assert direct_of("compiled-induction").unknown == frozenset()


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("siit")])
def test_of_trained_models_nodes_are_known(name: str) -> None:
    direct = direct_of(name)
    record = direct.truth.record
    assert direct.edges is None
    assert direct.nodes == {*record.heads, Embedding()}
    free = range(record.shape.n_layers) if record.shape.d_mlp is None else record.mlps
    assert direct.unknown == set(map(MLP, free))
    (kept,) = direct.on.faithfulness(edge_mask(direct.circuit, direct.graph)[None])
    assert kept.value == pytest.approx(1, abs=0.15)


def by_hand(strengths, is_true) -> float:
    """How often one that is true has more than one that is not; half where they are equal."""
    true, false = strengths[is_true], strengths[~is_true]
    more = (true[:, None] > false[None]).mean() + 0.5 * (true[:, None] == false[None]).mean()
    return float(more)


@pytest.fixture(scope="module", name="row")
def row_of_eap(tmp_path_factory):
    directory = tmp_path_factory.mktemp("truth")
    (row,) = run_truth(["compiled-induction"], directory, methods=[EAP])
    assert run_truth(["compiled-induction"], directory, methods=[EAP]) == [row]
    return row


class TestRows:
    def test_figures_by_their_definition(self, row) -> None:
        truth = load_truth("compiled-induction")
        run = bench_module.run_of(truth, EAP)
        found = run.discover()
        direct = DirectTruth(truth, EdgeEvaluator(truth.model, run.session.pairs))
        true, mine = direct.circuit.connections, found.circuit.connections
        assert row.edges.precision == len(true & mine) / len(mine)
        assert row.edges.recall == len(true & mine) / len(true)
        nodes = found.circuit.nodes
        assert row.nodes.precision == len(direct.nodes & nodes) / len(nodes)
        assert row.nodes.recall == len(direct.nodes & nodes) / len(direct.nodes)
        ranking = found.rankings[found.sizes.point.ranking]
        edges = list(direct.graph.edges)
        strengths = np.array([ranking.of(edge.sender, edge.receiver) for edge in edges])
        is_true = np.array([edge in true for edge in edges])
        assert row.edges.auc == pytest.approx(by_hand(strengths, is_true))
        best = dict.fromkeys(direct.graph.senders, -1.0)
        for edge, strength in zip(edges, strengths, strict=True):
            best[edge.sender] = max(best[edge.sender], strength)
        is_node = np.array([sender in direct.nodes for sender in best])
        assert row.nodes.auc == pytest.approx(by_hand(np.array(list(best.values())), is_node))
        assert row.paths is None
        assert row.true_performance == pytest.approx(100, abs=0.1)

    def test_exact_path_patching_finds_every_true_edge(self, tmp_path) -> None:
        exact = Contestant("path-patching-exact", "path-patching", "exact", mlps="nodes")
        (row,) = run_truth(["hand-induction"], tmp_path, methods=[exact])
        assert row.edges.recall == 1
        assert row.edges.auc > 0.99
        assert row.nodes.recall == 1
        assert row.found == {Head(0, 6), Head(1, 6)}

    def test_of_trained_models_nodes_alone(self, tmp_path) -> None:
        (row,) = run_truth(["siit-induction-mlp"], tmp_path, methods=[EAP])
        assert row.edges is None
        assert 0 <= row.nodes.recall <= 1

    def test_a_method_that_is_not_defined_has_no_row(self, tmp_path) -> None:
        heard: list[str] = []
        relp = Contestant("relp", "relp", "sweep", mlps="nodes")
        progress = Progress(notes=heard.append)
        assert run_truth(["siit-ioi-mlp"], tmp_path, methods=[relp], progress=progress) == []
        assert any("no row of relp on siit-ioi-mlp" in line for line in heard)
        truth = load_truth("siit-ioi-mlp")
        with pytest.raises(UnsupportedModelError):
            bench_module.run_of(truth, relp).discover()


def test_scores_of_sets() -> None:
    assert SetScore.of(set(), {1}, 0.5) == SetScore(None, 0.0, 0.5)


def test_every_method_of_direct_edges_takes_part() -> None:
    names = [one.name for one in edge_contestants()]
    assert {"in-context", "acdc", "eap-ig", "random", "app-sweep", "path-patching-exact"} <= {
        *names
    }
    assert all(one.mlps == "nodes" for one in edge_contestants())
    assert all(one.mlps == "path" for one in contestants())


def test_on_the_command_line(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("circuits.truth.methods.edge_contestants", lambda: (EAP,))
    asked = ("bench", "truth", "--model", "compiled-induction", "--out", tmp_path / "truth")
    done = circuits(*asked, "--mlps", "nodes")
    assert done.exit_code == 0, done.output
    assert "nodes" in done.stdout
    assert "edges" in done.stdout
    assert "--mlps must be one of path, nodes" in error_of(*asked, "--mlps", "both", code=2)


def test_a_head_without_weights_for_a_word_reads_nothing_of_it() -> None:
    truth = load_truth("hand-induction")
    direct = direct_of("hand-induction")
    wired = wired_edges(truth, direct.graph)
    silent = {name: tensor.clone() for name, tensor in truth.weights.items()}
    silent["layers.1.attn.k.weight"] = torch.zeros_like(silent["layers.1.attn.k.weight"])
    cut = wired_edges(type(truth)(truth.model, truth.task, truth.record, silent), direct.graph)
    rows = [direct.graph.row(r) for r in direct.graph.receivers if str(r).endswith(".k")]
    upper = [row for row in rows if str(direct.graph.receivers[row]).startswith("1.")]
    assert wired[upper].any()
    assert not cut[upper].any()
    kept = [row for row in range(len(wired)) if row not in upper]
    assert cut[kept].equal(wired[kept])
