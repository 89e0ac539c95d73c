"""Circuits as graphs of EAP-IG and the MIB circuit track, and back."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits import Circuit, Head, Receiver
from circuits.components import HEAD_INPUTS
from circuits.errors import InputError, MismatchError
from circuits.formats import GraphConfig, from_eap_graph, import_circuit, to_eap_graph
from circuits.patching import EdgeValues
from tests.circuits.formats.graphs import (
    GRAPH,
    GROUPED,
    NODES,
    WIDE,
    circuit_of,
    in_graph,
    written,
)
from tests.circuits.strategies import circuits

OLDER, DIRECT = GraphConfig(plain_nodes=True), replace(WIDE, with_mlps=False)
FEW = settings(max_examples=25)
"""With every shape and type checked, a graph takes a tenth of a second."""


class TestExport:
    def test_what_supports_a_path_to_the_logits(self):
        data = written(circuit_of(("1.0", "logits", -0.5)))
        inputs = [f"a1.h0<{name}>" for name in HEAD_INPUTS]
        assert in_graph(data) == {
            *("input->m0", "input->m1", "input->m2", "m0->m1", "m0->m2", "m1->m2"),
            *("input->logits", "m0->logits", "m1->logits", "m2->logits"),
            *(f"{sender}->{child}" for sender in ("input", "m0") for child in inputs),
            *("a1.h0->logits", "a1.h0->m1", "a1.h0->m2"),
        }
        sending = {name for name, node in data["nodes"].items() if node["in_graph"]}
        assert sending == {"input", "m0", "m1", "m2", "a1.h0", "logits"}
        assert {data["edges"][name]["score"] for name in in_graph(data)} == {0.5}

    def test_mlps_between_a_sender_and_its_highest_receiver(self):
        circuit = circuit_of(("0.0", "1.1.q", 0.1), ("1.1", "2.0.v", -0.3), ("2.0", "logits", -0.2))
        data = written(circuit)
        into_mlps = {name for name in in_graph(data) if "->m" in name and name.startswith("a")}
        assert into_mlps == {"a0.h0->m0", "a1.h1->m1", "a2.h0->m2"}
        parallel = written(circuit, replace(GRAPH, parallel_mlp=True))
        assert not any("->m" in name and name.startswith("a") for name in in_graph(parallel))
        direct = written(circuit, config=DIRECT)
        assert not any("m" in name for name in in_graph(direct))
        assert "input->a2.h0<k>" in in_graph(direct)

    def test_scores_are_minus_effects_and_what_needs_them(self):
        circuit = circuit_of(("0.0", "1.1.q", 0.1), ("1.1", "logits", -0.3))
        scores = {name: edge["score"] for name, edge in written(circuit)["edges"].items()}
        assert scores["a0.h0->a1.h1<q>"] == -0.1
        assert scores["a1.h1->logits"] == 0.3
        assert scores["a0.h0->m0"] == 0.1, "needed by the first path alone"
        assert scores["input->a1.h1<k>"] == 0.3, "needed by what 1.1 sends"
        assert scores["input->a0.h0<v>"] == 0.1
        assert scores["a0.h1->logits"] == 0.0

    @given(circuits(), st.floats(1e-3, 2))
    @FEW
    def test_edges_of_some_score_are_the_graph_of_paths_of_some_effect(self, circuit, least):
        if not circuit.edges:
            return
        strong = frozenset(edge for edge in circuit.edges if abs(edge.effect) >= least)
        part = replace(circuit, edges=strong)
        scores = written(circuit)["edges"].items()
        assert {name for name, e in scores if abs(e["score"]) >= least} == (
            in_graph(written(part)) if strong else set()
        )

    def test_measured_effects_are_scores_outside_of_the_graph(self):
        effects = EdgeValues.unknown(GROUPED)
        effects.put(Receiver.logits(), GROUPED.heads, [-0.5] * len(GROUPED.heads))
        effects.put(Receiver.parse("2.2.k"), [Head(0, 0)], [0.25])
        circuit = circuit_of(("1.0", "logits", -0.75), n_heads=4)
        data = written(circuit, GROUPED, effects=effects)
        scores = {name: edge["score"] for name, edge in data["edges"].items()}
        assert scores["a1.h0->logits"] == 0.75, "what the circuit says"
        assert scores["a0.h3->logits"] == 0.5
        assert scores["a0.h0->a2.h2<k>"] == scores["a0.h0->a2.h3<k>"] == -0.25
        assert scores["a0.h0->a2.h1<k>"] == 0.0
        assert in_graph(data) == in_graph(written(circuit, GROUPED))

    def test_both_forms(self):
        circuit = circuit_of(("1.0", "logits", -0.5))
        newer = written(circuit)
        assert newer["cfg"] == {
            "n_layers": 3,
            "n_heads": 2,
            "parallel_attn_mlp": False,
            "d_model": 8,
        }
        assert newer["nodes"]["a1.h1"] == {"in_graph": False}
        older = written(circuit, config=OLDER)
        assert older["nodes"] == {name: node["in_graph"] for name, node in newer["nodes"].items()}
        assert older["edges"] == newer["edges"]
        assert len(newer["edges"]) == NODES.n_edges, "readers take the rest as in"

    def test_choices_are_told(self):
        circuit = circuit_of(("0.0", "1.1.k", -0.5), n_heads=4)
        other = Circuit(circuit.heads | {Head(1, 0)}, circuit.edges, 3, 4)
        mlps, scores, shared = to_eap_graph(other, GROUPED, config=WIDE).notes
        assert "edges with them are in the graph" in mlps
        assert "scores are minus effects" in scores
        assert "1 edges were added into those that share one" in shared
        none, _ = to_eap_graph(circuit, GROUPED, config=DIRECT).notes
        assert "it lacks the paths through them" in none

    def test_what_cannot_be_written(self):
        circuit = circuit_of(("1.0", "logits", -0.5))
        with pytest.raises(MismatchError, match="3 layers x 2 heads, the model given has 3 x 4"):
            to_eap_graph(circuit, GROUPED, config=WIDE)
        with pytest.raises(InputError, match="the width of the model's residual stream"):
            to_eap_graph(circuit, GRAPH)
        to_eap_graph(circuit, GRAPH, config=GraphConfig(plain_nodes=True))
        with pytest.raises(InputError, match="no finite effect"):
            to_eap_graph(circuit_of(("1.0", "logits", float("nan"))), GRAPH, config=WIDE)


class TestRoundTrip:
    @given(circuit=circuits(), plain_nodes=st.booleans())
    @FEW
    def test_every_circuit_comes_back(self, circuit, plain_nodes):
        text = to_eap_graph(circuit, GRAPH, config=OLDER if plain_nodes else WIDE).text
        assert from_eap_graph(text).circuit == circuit
        assert import_circuit(text).circuit == circuit, "recognised by its content"

    @given(circuit=circuits(n_heads=4))
    @FEW
    def test_shared_keys_and_values_are_those_of_all_heads(self, circuit):
        once = from_eap_graph(to_eap_graph(circuit, GROUPED, config=WIDE).text).circuit
        assert once.heads == circuit.heads
        assert circuit.connections <= once.connections
        for edge in once.edges - circuit.edges:
            same = {e.receiver for e in circuit.edges if e.sender == edge.sender}
            assert GROUPED.unit(edge.receiver) in set(map(GROUPED.unit, same))
        twice = from_eap_graph(to_eap_graph(once, GROUPED, config=WIDE).text).circuit
        assert twice == once

    @given(circuit=circuits())
    @FEW
    def test_without_mlps(self, circuit):
        text = to_eap_graph(circuit, GRAPH, config=DIRECT).text
        assert from_eap_graph(text).circuit == circuit
