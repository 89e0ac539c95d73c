"""Circuits whose nodes are MLPs and the embedding, too, as graphs of EAP-IG: nothing is lost."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from circuits import Circuit, Edge, Head
from circuits.circuit import every_edge
from circuits.components import Receiver
from circuits.errors import FormatError, InputError, MismatchError, SettingError
from circuits.formats import GraphConfig, GraphReading, from_eap_graph, import_circuit, to_eap_graph
from circuits.graph import ModelGraph
from circuits.patching import EdgeValues
from tests.circuits.cli.command_line import circuits as command
from tests.circuits.cli.command_line import error_of
from tests.circuits.formats.graphs import GRAPH, NODE_CIRCUIT, NODES, WIDE, in_graph, written
from tests.circuits.strategies import node_circuits

OURS = "accelerated_path_patching"
AS_IT_IS = GraphReading(mlps="nodes")
FEW = settings(max_examples=6, phases=[Phase.generate])
"""With every shape and type checked, a graph takes a tenth of a second, and shrinking minutes."""


def drawn_effects() -> EdgeValues:
    values = torch.randn(len(NODES.receivers), len(NODES.senders), dtype=torch.float64)
    return EdgeValues(NODES, values.masked_fill(~every_edge(NODES), torch.nan))


def test_form() -> None:
    """By hand: flags of nodes and edges, scores, and what EAP-IG calls them."""
    data = written(NODE_CIRCUIT)
    assert in_graph(data) == {"input->m0", "m0->a2.h0<k>", "a2.h0->m2", "m2->logits"}
    scores = {name: data["edges"][name]["score"] for name in in_graph(data)}
    assert scores == {
        "input->m0": -0.5,
        "m0->a2.h0<k>": 0.25,
        "a2.h0->m2": 0.75,
        "m2->logits": 1.0,
    }
    sending = {name for name, node in data["nodes"].items() if node["in_graph"]}
    assert sending == {"input", "m0", "m2", "a2.h0", "a1.h1", "logits"}
    assert len(data["edges"]) == NODES.n_edges
    assert data["edges"]["input->logits"] == {"score": 0.0, "in_graph": False}


@given(circuit=node_circuits(), plain_nodes=st.booleans())
@FEW
def test_every_circuit_comes_back(circuit: Circuit, plain_nodes: bool) -> None:
    config = GraphConfig(plain_nodes=True) if plain_nodes else WIDE
    text = to_eap_graph(circuit, GRAPH, config=config).text
    assert from_eap_graph(text).circuit == circuit
    assert import_circuit(text).circuit == circuit, "recognised by its content"


@given(circuit=node_circuits())
@FEW
def test_every_graph_of_theirs_comes_back(circuit: Circuit) -> None:
    """Flags and scores, also of edges outside; theirs have no key of ours."""
    assume(circuit.nodes)
    data = json.loads(to_eap_graph(circuit, GRAPH, drawn_effects(), WIDE).text)
    del data[OURS]
    imported = from_eap_graph(json.dumps(data), AS_IT_IS)
    joined = {end for edge in circuit.edges for end in edge.ends}
    assert imported.circuit.nodes == circuit.nodes >= joined
    again = to_eap_graph(imported.circuit, GRAPH, imported.effects, WIDE)
    back = json.loads(again.text)
    del back[OURS]
    assert back == data


def test_no_key_or_value_is_shared() -> None:
    """Under grouped queries each query head has its own in their graph."""
    grouped = ModelGraph(3, 2, 1)
    circuit = Circuit(
        frozenset({Head(0, 0), Head(1, 0)}),
        frozenset({Edge(Head(0, 0), Receiver.parse("1.0.k"), -0.5)}),
        *(3, 2, "nodes"),
    )
    data = written(circuit, grouped)
    assert in_graph(data) == {"a0.h0->a1.h0<k>"}
    assert from_eap_graph(json.dumps(data)).circuit == circuit


def test_the_strongest_edges_of_a_file_of_scores() -> None:
    empty = Circuit(frozenset(), frozenset(), 3, 2, "nodes")
    effects = drawn_effects()
    text = to_eap_graph(empty, GRAPH, effects, WIDE).text
    with pytest.raises(FormatError, match="say how many of the strongest edges"):
        from_eap_graph(text)
    found = from_eap_graph(text, GraphReading(top=4)).circuit
    strongest = effects.values.abs().nan_to_num().flatten().topk(4).values
    assert sorted(abs(edge.effect) for edge in found.edges) == sorted(strongest.tolist())
    assert found.mlps == "nodes"


def test_what_is_left_out_is_told() -> None:
    data = written(NODE_CIRCUIT)
    data["nodes"]["m1"]["in_graph"] = True
    data["edges"]["a0.h0->logits"]["in_graph"] = True
    imported = from_eap_graph(json.dumps(data))
    assert imported.circuit == NODE_CIRCUIT
    assert imported.notes == (
        "effects are minus the scores of the file",
        "1 edges of nodes that are not in the graph were left out",
        "1 MLPs in the graph have no edge there and were left out",
    )


def test_what_does_not_apply_is_refused() -> None:
    with pytest.raises(InputError, match="MLPs are nodes of this circuit, and cannot be left out"):
        written(NODE_CIRCUIT, config=GraphConfig(with_mlps=False, d_model=8))
    with pytest.raises(InputError, match="the effects given are of paths between heads"):
        written(NODE_CIRCUIT, effects=EdgeValues.unknown(GRAPH))
    with pytest.raises(MismatchError, match="MLPs that stand beside them"):
        written(NODE_CIRCUIT, ModelGraph(3, 2, 2, parallel_mlp=True))
    with pytest.raises(SettingError, match="mlps='nodes' keeps what the graph has"):
        GraphReading(mlps="nodes", through_mlps=True)
    with pytest.raises(FormatError, match="mlps must be one of"):
        from_eap_graph(json.dumps(written(NODE_CIRCUIT) | {OURS: {"mlps": "some"}}))


def test_the_command(tmp_path, without_type_checks) -> None:
    file, out = tmp_path / "graph.json", tmp_path / "circuit.json"
    data = written(NODE_CIRCUIT)
    del data[OURS]
    file.write_text(json.dumps(data))
    assert command("import", file, "--mlps", "nodes", "-o", out).exit_code == 0
    assert Circuit.from_json(out.read_text()) == NODE_CIRCUIT
    exported = command("export", out, "--format", "eap-ig", "--d-model", "8")
    assert json.loads(exported.stdout)["edges"] == data["edges"]
    assert "mlps must be one of" in error_of("import", file, "--mlps", "some", code=2)
