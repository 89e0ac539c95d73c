"""Every command on circuits whose nodes are MLPs, too: what works, and what is refused."""

from __future__ import annotations

import json

import pytest

from circuits import Circuit, Discovery, Edge, Receiver
from circuits.components import MLP, Embedding
from tests.circuits.cli.command_line import circuits, error_of

FEW = ("--n-prompts", 4, "--validation-prompts", 4, "--held-out-prompts", 4)
NODES = ("--mlps", "nodes", "--method", "eap", "--keep", 1, *FEW)


@pytest.fixture(scope="module")
def study(tiny, tmp_path_factory):
    """Two seeds of small circuits of edges, in a directory; leave it as it is."""
    place = tmp_path_factory.mktemp("nodes")
    directory, other = place / "study", place / "other.json"
    edges = [Edge(Embedding(), Receiver.mlp(0), 0.0), Edge(MLP(0), Receiver.logits(), 0.0)]
    other.write_text(Circuit(frozenset(), frozenset(edges), 2, 4, "nodes").to_json())
    search = ("seeds", "ioi", "--model", tiny, "--seeds", 2, *NODES, "--ignore-behaviour")
    done = circuits(*search, "--against", other, "--out", directory)
    assert done.exit_code == 0, done.output
    text = " ".join(done.stdout.split())
    assert "Nodes, by how many of the circuits have them" in text
    assert "Edges, by how many of the circuits have them" in text
    assert "on 4 prompts that no seed has seen" in text
    return directory


@pytest.fixture(scope="module")
def run(study):
    return study / "seed-0"


@pytest.fixture(scope="module")
def consensus(study):
    return study / "consensus.json"


def test_the_study_keeps_its_consensus_and_how_often_edges_are_there(study, run) -> None:
    saved = json.loads((study / "seeds.json").read_text())
    assert {"edges", "edge precision", "edge recall"} <= saved["figures"].keys()
    found = Discovery.load(run).circuit
    assert {row["item"] for row in saved["edges"]["rows"]} >= set(map(str, found.connections))
    assert saved["consensus"] == json.loads((study / "consensus.json").read_text())


class TestCompare:
    def test_runs_and_files_of_the_same_graph(self, run, consensus, no_model) -> None:
        told = json.loads(circuits("compare", consensus, run, "--json").stdout)
        assert told["nodes"]["recall"] == 1, "the consensus of two has what either has"
        assert told["edges"]["recall"] == 1
        assert 0 < told["edges"]["p_value"] <= 1
        assert told["edges"]["chance"].keys() == told["edges"]["chance_same_heads"].keys()

    def test_other_graphs_are_refused_in_one_sentence(self, run, consensus, shared_run) -> None:
        for one in (run, consensus):
            words = "their heads alone can be compared, as Circuit.of_heads of each"
            assert words in error_of("compare", one, shared_run, code=1)

    def test_references_of_another_model_are_refused(self, run) -> None:
        refused = error_of("compare", run, "greater-than-gpt2-acdc-mlps", code=2)
        assert "is a circuit of gpt2 (12 layers x 12 heads)" in refused


@pytest.mark.parametrize("format", ["json", "networkx", "dot", "csv"])
def test_every_format_gives_the_circuit_back(consensus, tmp_path, format, no_model) -> None:
    file = tmp_path / "circuit"
    assert circuits("export", consensus, "--format", format, "-o", file).exit_code == 0
    back = circuits("import", file, "--format", format)
    assert Circuit.from_json(back.stdout) == Circuit.from_json(consensus.read_text())


def test_eap_ig_has_its_edges_too(run, consensus, tmp_path, no_model) -> None:
    file = tmp_path / "graph.json"
    wide = ("--d-model", 32, "--kv-heads", 2)
    for source, more in ((run, ()), (consensus, wide)):
        done = circuits("export", source, "--format", "eap-ig", "-o", file, *more)
        assert done.exit_code == 0, done.output
        back = circuits("import", file, "--mlps", "nodes")
        whole = Discovery.load(run).circuit if source is run else None
        whole = whole or Circuit.from_json(consensus.read_text())
        assert Circuit.from_json(back.stdout).connections == whole.connections
    refused = error_of("export", run, "--format", "eap-ig", "--without-mlps", code=2)
    assert "MLPs are nodes of this circuit, and cannot be left out" in refused


def test_roles_are_those_of_its_heads(tiny, consensus) -> None:
    read = circuits("roles", consensus, "--task", "ioi", "--model", tiny, "--json")
    assert read.exit_code == 0, read.output
    heads = {one["head"] for one in json.loads(read.stdout)["heads"]}
    assert heads == set(map(str, Circuit.from_json(consensus.read_text()).heads))


def test_it_is_reported(study, run, tmp_path) -> None:
    page = tmp_path / "report.html"
    assert circuits("report", study, run, "--out", page).exit_code == 0
    text = page.read_text()
    assert text.count("What other seeds found") == 1, "a run alone knows of no other seeds"
    assert "What so many circuits have" in text


@pytest.mark.parametrize("command", ["grid", "study"])
@pytest.mark.parametrize("method", ["in-context", "eap"])
def test_what_chooses_by_what_it_keeps_has_no_thresholds(no_model, command, method) -> None:
    refused = error_of(command, "ioi", "--mlps", "nodes", "--method", method, code=2)
    assert "takes the same circuit whatever the thresholds; use app or path-patching" in refused


def test_a_grid_of_direct_edges(tiny, tmp_path) -> None:
    few = ("--n-prompts", 4, "--ignore-behaviour", "--method", "path-patching", "--no-verify")
    varied = ("--thresholds", "0.1,0.6", "--min-effects", 0)
    done = circuits("grid", "ioi", "--model", tiny, "--mlps", "nodes", *few, *varied, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["mlps"] == "nodes"
    assert len(told["points"]) == 2


class TestSubmission:
    def test_a_folder_for_each_run_with_the_scores_of_its_ranking(self, study, tmp_path) -> None:
        runs = study / "seed-0", study / "seed-1"
        named = ("--as", "ioi_gpt2", "--as", "mcqa_qwen2.5")
        done = circuits("submission", *runs, *named, "--out", tmp_path / "mib")
        assert done.exit_code == 0, done.output
        for run, folder in zip(runs, ("ioi_gpt2", "mcqa_qwen2.5"), strict=True):
            data = json.loads((tmp_path / "mib" / folder / "importances.json").read_text())
            found = Discovery.load(run)
            marked = sum(edge["in_graph"] for edge in data["edges"].values())
            assert marked == len(found.circuit.edges)
            scores = sorted(edge["score"] for edge in data["edges"].values())
            ranking = found.rankings[found.sizes.point.ranking].values
            assert scores == pytest.approx(sorted(ranking[~ranking.isnan()].tolist()))
        assert "the track wants" not in done.output
        alone = circuits("submission", runs[0], "--as", "ioi_gpt2", "-o", tmp_path / "one")
        assert "1 task and 1 model: the track wants two of each or more" in alone.output

    def test_another_ranking_of_the_run(self, run, tmp_path) -> None:
        names = sorted(Discovery.load(run).rankings)
        for name in names:
            named = ("--as", "ioi_gpt2", "--ranking", name)
            done = circuits("submission", run, *named, "--out", tmp_path / name)
            assert done.exit_code == 0, done.output

    def test_what_cannot_be_submitted_is_told_in_one_sentence(
        self, run, consensus, shared_run, tmp_path
    ) -> None:
        out = ("--out", tmp_path / "mib")
        named = ("--as", "ioi_gpt2")
        assert "not in MIB's circuit localization track" in error_of(
            "submission", run, *out, code=2
        )
        asked = error_of("submission", run, "--as", "ioi_gpt3", *out, code=2)
        assert "did you mean 'ioi_gpt2'?" in asked
        assert "once for each" in error_of("submission", run, run, *named, *out, code=2)
        twice = error_of("submission", run, run, *named, *named, *out, code=2)
        assert "two runs are both ioi_gpt2" in twice
        assert "without scores" in error_of("submission", consensus, *named, *out, code=2)
        assert "--mlps nodes" in error_of("submission", shared_run, *named, *out, code=2)
        unknown = error_of("submission", run, *named, "--ranking", "eapp", *out, code=2)
        assert "unknown ranking 'eapp'; did you mean 'eap'?" in unknown
        assert not (tmp_path / "mib").exists()
