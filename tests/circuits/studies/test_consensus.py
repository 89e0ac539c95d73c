"""Consensus circuits measured on prompts that no seed has seen, kept, and read again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from circuits import Circuit, DiscoveryConfig, discover_seeds
from circuits.circuit import circuit_of_edges, edge_mask, every_edge
from circuits.discovery import Session
from circuits.errors import FormatError, InputError, OverwriteError, SettingError
from circuits.evaluation import EdgeEvaluator, Evaluator
from circuits.forward import LayeredModel
from circuits.graph import ModelGraph
from circuits.metrics import logit_diff
from circuits.statistics import InclusionRule
from circuits.studies import (
    Consensus,
    SeedRecord,
    SeedRun,
    SeedStudy,
    consensus_evaluation,
    evaluate_consensus,
)
from tests.circuits.masking.slow_twin import weighted_metric_by_hand

NODES = DiscoveryConfig(
    mlps="nodes", keep=20.0, n_prompts=4, n_validation_prompts=4, n_held_out_prompts=4
)
HEADS = DiscoveryConfig("attribution", n_prompts=4, n_mean_prompts=6)


@pytest.fixture
def study_of(found):
    """Makes a study of hand-made circuits, one for each seed."""

    def made(config: DiscoveryConfig, *circuits: Circuit, **settings) -> SeedStudy:
        seeds = range(3, 3 + len(circuits))
        runs = [
            SeedRun(replace(found, config=replace(config, seed=seed), circuit=circuit))
            for seed, circuit in zip(seeds, circuits, strict=True)
        ]
        return SeedStudy(tuple(runs), reported=3, **settings)

    return made


def drawn(seed: int) -> Circuit:
    graph = ModelGraph(3, 4, 2, mlps="nodes")
    edges, draw = every_edge(graph), torch.Generator().manual_seed(seed)
    edges &= torch.rand(edges.shape, generator=draw) < 0.9
    return circuit_of_edges(graph, edges)


def of_heads(*names: str) -> Circuit:
    return Circuit.of_heads(names, 3, 4)


@pytest.fixture
def sampled(monkeypatch):
    """What consensus circuits were measured on."""
    heard, sample = [], consensus_evaluation._unseen

    def listen(*given):
        heard.append(sample(*given))
        return heard[-1]

    monkeypatch.setattr(consensus_evaluation, "_unseen", listen)
    return heard


@pytest.mark.parametrize("config", [NODES, HEADS])
def test_no_seed_has_seen_any_of_the_prompts(toy, study_of, config) -> None:
    circuits = [drawn(0), drawn(1)] if config is NODES else [of_heads("0.1"), of_heads("2.1")]
    study = study_of(config, *circuits)
    bridge, task = toy
    pairs, mean_pairs = consensus_evaluation._unseen(study, LayeredModel.of(bridge), task, 6)
    assert len(pairs) == len(set(pairs.clean_text)) == 6
    for run in study.runs:
        session = Session.of(*toy, run.found.config)
        every = [session.pairs, session.mean_pairs]
        every += session.other_pairs if config is NODES else []
        for one in every:
            assert {*pairs.clean_text, *mean_pairs.clean_text}.isdisjoint(one.clean_text)


def test_edges_are_measured_with_all_others_corrupted(toy, study_of, sampled) -> None:
    bridge, _ = toy
    study = study_of(NODES, drawn(0), drawn(1))
    consensus = evaluate_consensus(study, *toy, least=1, n_prompts=2)
    assert [point.count for point in consensus.points] == [1, 2]
    assert consensus.circuit == study.consensus(1.0)
    ((pairs, _),) = sampled
    edges = edge_mask(consensus.circuit, study.graph).float()
    kept = weighted_metric_by_hand(bridge, pairs, study.graph, edges, logit_diff).mean()
    none, whole = EdgeEvaluator(bridge, pairs).baselines.mean(-1).tolist()
    share = (float(kept) - none) / (whole - none)
    assert consensus.performance.value == pytest.approx(100 * share, rel=1e-3)
    sizes = [(point.n_nodes, point.n_edges) for point in consensus.points]
    circuits = study.consensus(0.5), consensus.circuit
    assert sizes == [(len(one.nodes), len(one.edges)) for one in circuits]


def test_heads_are_measured_by_what_they_keep_of_the_metric(toy, study_of, sampled) -> None:
    both = of_heads("0.1", "2.1", "1.3")
    study = study_of(HEADS, both, of_heads("2.1"), rule=InclusionRule(consensus=1.0))
    consensus = evaluate_consensus(study, *toy, n_prompts=6)
    ((pairs, mean_pairs),) = sampled
    assert pairs.clean_text == mean_pairs[:6].clean_text
    evaluator = Evaluator(toy[0], pairs, mean_pairs)
    wanted = evaluator.performances([both.heads, of_heads("2.1").heads])
    assert [point.kept.value for point in consensus.points] == pytest.approx(wanted)
    assert consensus.circuit == of_heads("2.1")
    assert (consensus.least, consensus.seeds) == (1.0, (3, 4))


class TestUnmeasured:
    def test_where_seeds_have_seen_all_rows_that_is_said(self, toy, study_of, monkeypatch) -> None:
        bridge, task = toy
        monkeypatch.setattr(type(task), "n_pairs", 7, raising=False)
        study = study_of(HEADS, of_heads("0.1"), of_heads("2.1"))
        consensus = evaluate_consensus(study, bridge, task)
        assert consensus.performance is None
        assert consensus.n_prompts == 0
        assert "task 'toy' has 7 prompts, of which 2 seeds have seen" in consensus.unmeasured
        assert consensus.circuit == of_heads("0.1", "2.1"), "it is one all the same"

    def test_what_cannot_be_asked_is_refused(self, toy, study_of) -> None:
        study = study_of(HEADS, of_heads("0.1"))
        with pytest.raises(SettingError, match="n_prompts must be at least 2"):
            evaluate_consensus(study, *toy, n_prompts=1)
        with pytest.raises(InputError, match="share above 0"):
            evaluate_consensus(study, *toy, least=0.0)


class TestKept:
    @pytest.fixture
    def study(self, study_of):
        study = study_of(NODES, drawn(0), drawn(1))
        about = study.found.config, study.found.provenance
        agreed = Consensus(study.consensus(), 0.5, (3, 4), (), 0, "no prompts", *about)
        return replace(study, agreed=agreed)

    def test_a_study_is_read_again(self, study, tmp_path) -> None:
        study.save(tmp_path)
        record = SeedRecord.load(tmp_path)
        assert record == study.record
        assert record.nodes == study.nodes
        assert record.edges == study.edges
        assert Consensus.load(tmp_path) == Consensus.load(tmp_path / "consensus.json")
        assert Consensus.load(tmp_path) == study.agreed

    def test_the_consensus_is_a_circuit_file(self, study, tmp_path) -> None:
        study.save(tmp_path)
        text = (tmp_path / "consensus.json").read_text()
        assert Circuit.from_json(text) == study.agreed.circuit
        about = json.loads(text)["consensus"]
        assert about["provenance"]["model"]["weight_hash"]
        assert about["seeds"] == [3, 4]

    def test_the_table_has_every_node_and_edge(self, study, tmp_path) -> None:
        study.save(tmp_path)
        header, *rows = (tmp_path / "inclusion.csv").read_text().splitlines()
        assert header == "sender,receiver,count,seeds,share,low,high,p_value,kind"
        assert len(rows) == len(study.nodes.rows) + len(study.edges.rows)
        row = study.edges.rows[-1]
        assert rows[-1].startswith(f"{row.item.sender},{row.item.receiver},{row.count},2,")
        assert rows[-1].endswith(f",{row.kind}")

    def test_files_that_no_study_wrote_stay(self, study, tmp_path) -> None:
        for name in ("consensus.json", "inclusion.csv"):
            place = tmp_path / name
            place.mkdir()
            (place / name).write_text("mine")
            with pytest.raises(OverwriteError, match=f"a {name} that was not written with a seeds"):
                study.save(place)
            assert (place / name).read_text() == "mine"
            study.save(place, overwrite=True)
            assert SeedRecord.load(place) == study.record

    def test_a_consensus_that_there_is_no_more_goes(self, study, tmp_path) -> None:
        study.save(tmp_path)
        replace(study, agreed=None).save(tmp_path)
        assert not (tmp_path / "consensus.json").exists()
        assert SeedRecord.load(tmp_path).consensus is None

    def test_what_is_damaged_says_so(self, study, tmp_path) -> None:
        study.save(tmp_path)
        with pytest.raises(FormatError, match='a field "consensus"'):
            Consensus.from_dict(study.consensus().to_dict())
        fields = json.loads((tmp_path / "seeds.json").read_text())
        del fields["nodes"]
        (tmp_path / "seeds.json").write_text(json.dumps(fields))
        with pytest.raises(FormatError, match=r"older version .*nodes.*repeats no run"):
            SeedRecord.load(tmp_path)


@pytest.mark.parametrize(
    ("config", "against", "words"),
    [
        (NODES, "merged-flap", "these are the methods with mlps 'nodes'"),
        (NODES, of_heads("0.1"), "different graphs"),
        (HEADS, "eap", "needs mlps 'nodes'"),
        (HEADS, drawn(0), "different graphs"),
    ],
)
def test_what_is_of_another_graph_is_refused_before_any_work(toy, config, against, words) -> None:
    with pytest.raises(InputError, match=words):
        discover_seeds(*toy, seeds=1, config=config, against=against)
