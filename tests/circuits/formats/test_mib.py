"""Submissions to MIB: names of folders, and every edge with the score that ranks it."""

from __future__ import annotations

import json

import pytest
import torch

from circuits import Circuit
from circuits.circuit import circuit_of_edges
from circuits.edge_scores import edge_scores, top_edges
from circuits.errors import InputError
from circuits.formats import FOLDERS, GraphReading, from_eap_graph, importances, mib_folder
from circuits.formats.eap_names import edge_name
from circuits.model import tokenizer_of
from circuits.patching import EdgeValues


@pytest.fixture(scope="module")
def scored(toy) -> EdgeValues:
    bridge, task = toy
    scores = edge_scores(bridge, task.sample(tokenizer_of(bridge), n=3, seed=0), "eap")
    return EdgeValues(scores.graph, scores.values.mean(-1))


@pytest.fixture(scope="module")
def circuit(scored) -> Circuit:
    """The best edges, with effects that say nothing of their scores."""
    edges = top_edges(scored, 25)
    return circuit_of_edges(scored.graph, edges, torch.ones(edges.shape))


def test_folders_are_those_of_the_track() -> None:
    assert len(FOLDERS) == len(set(FOLDERS)) == 12
    assert mib_folder("ioi", "gpt2") == "ioi_gpt2"
    assert mib_folder("arithmetic_addition", "meta-llama/Llama-3.1-8B") == (
        "arithmetic-addition_llama3"
    )
    assert mib_folder("mcqa", "qwen2.5") == "mcqa_qwen2.5"


@pytest.mark.parametrize(
    ("task", "model"), [("ioi", "smollm2-135m"), ("mcqa", "gpt2"), ("docstring", "gpt2")]
)
def test_others_are_refused_with_those_there_are(task: str, model: str) -> None:
    with pytest.raises(InputError, match=f"{task}.*{model}.*MIB.*arc-challenge_llama3"):
        mib_folder(task, model)


def test_every_edge_has_its_score_and_those_of_the_circuit_are_marked(scored, circuit) -> None:
    graph = scored.graph
    data = json.loads(importances(circuit, scored, d_model=32))
    assert data["cfg"]["d_model"] == 32
    assert len(data["edges"]) == graph.n_edges
    for edge in graph.edges:
        told = data["edges"][edge_name(edge)]
        place = graph.row(edge.receiver), graph.column(edge.sender)
        assert told["score"] == pytest.approx(float(scored.values[place]))
        assert told["in_graph"] == (edge in circuit.connections)


def test_the_best_edges_of_the_file_are_those_of_the_scores(scored, circuit) -> None:
    text = importances(circuit, scored, d_model=32)
    read = from_eap_graph(text, GraphReading(mlps="nodes")).circuit
    assert read.connections == circuit.connections
    data = json.loads(text)["edges"]
    best = sorted(data, key=lambda name: -data[name]["score"])[:25]
    assert set(best) == {edge_name(edge) for edge in circuit.connections}


def test_paths_and_half_a_ranking_are_refused(scored, circuit) -> None:
    with pytest.raises(InputError, match="--mlps nodes"):
        importances(Circuit.of_heads(["0.1"], 3, 4), scored, d_model=32)
    half = scored.values.clone()
    half[:, 0] = torch.nan
    with pytest.raises(InputError, match=r"of [0-9,]+ edges have no score"):
        importances(circuit, EdgeValues(scored.graph, half), d_model=32)
