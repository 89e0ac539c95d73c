"""Circuits from graphs of EAP-IG and the MIB circuit track."""

import json

import pytest

from circuits import Circuit, Head
from circuits.errors import FormatError, SettingError
from circuits.formats import GraphReading, from_eap_graph
from tests.circuits.formats.graphs import GROUPED, circuit_of, written


def read(data, **reading):
    return from_eap_graph(json.dumps(data), GraphReading(**reading))


class TestImport:
    @pytest.fixture
    def data(self):
        """A graph of theirs in which nothing is marked."""
        data = written(Circuit.of_heads([], 3, 2))
        del data["accelerated_path_patching"]
        data["nodes"]["input"] = {"in_graph": False}
        return data

    @staticmethod
    def mark(data, **edges):
        for name, score in edges.items():
            data["edges"][name] = {"score": score, "in_graph": True}
            sender = name.partition("->")[0]
            data["nodes"][sender] = {"in_graph": True}

    def test_edges_between_heads_and_to_the_logits(self, data):
        edges = {"a0.h0->a1.h1<q>": -0.5, "a1.h1->logits": 2.0, "input->m0": 9.0}
        self.mark(data, **edges)
        imported = read(data)
        assert imported.circuit == circuit_of(("0.0", "1.1.q", 0.5), ("1.1", "logits", -2.0))
        assert imported.notes == (
            "effects are minus the scores of the file",
            "1 edges with MLPs or the embedding were left out: both belong to the paths here",
        )

    def test_neurons_of_a_node_are_told_of(self, data):
        """Graphs by neuron hold less of a head than a circuit here."""
        self.mark(data, **{"a0.h0->logits": 1.0})
        data["nodes"]["a0.h0"] |= {"neurons": [True, False], "neurons_scores": [1.0, 0.0]}
        imported = read(data)
        assert imported.circuit == circuit_of(("0.0", "logits", -1.0))
        assert any("which neurons of a node" in note for note in imported.notes)

    def test_paths_through_mlps_on_request(self, data):
        edges = {"a0.h0->m0": -3.0, "m0->m1": 1.0, "m1->a2.h1<v>": 2.0, "a2.h1->logits": 1.0}
        self.mark(data, **edges)
        assert read(data).circuit.heads == {Head(0, 0), Head(2, 1)}
        assert len(read(data).circuit.edges) == 1
        self.mark(data, **{"m0->a2.h1<v>": -2.5, "a0.h0->a2.h1<q>": 0.25, "m0->a2.h1<q>": 4.0})
        imported = read(data, through_mlps=True)
        assert imported.circuit == circuit_of(
            ("0.0", "2.1.v", 2.5), ("0.0", "2.1.q", -0.25), ("2.1", "logits", -1.0)
        )
        assert "1 paths through MLPs alone became edges" in imported.notes[1]

    def test_heads_that_share_keys_and_values(self):
        data = written(
            circuit_of(("0.0", "1.0.k", -0.5), ("1.1", "logits", -1.0), n_heads=4), GROUPED
        )
        del data["accelerated_path_patching"]
        data["edges"]["a0.h0->a1.h1<k>"] = {"score": -0.75, "in_graph": True}
        assert len(read(data).circuit.edges) == 3
        strongest = circuit_of(
            ("0.0", "1.0.k", 0.75), ("0.0", "1.1.k", 0.75), ("1.1", "logits", -1.0), n_heads=4
        )
        assert read(data, n_kv_heads=2).circuit == strongest
        with pytest.raises(SettingError, match="4 heads cannot share 3"):
            read(data, n_kv_heads=3)

    def test_the_strongest_edges(self, data):
        scores = {"a0.h0->a1.h1<q>": -0.5, "a1.h1->logits": 2.0, "a0.h1->logits": 0.1}
        for name, score in {**scores, "input->m0": 9.0}.items():
            data["edges"][name]["score"] = score
        with pytest.raises(FormatError, match="the file holds scores alone: say how many"):
            read(data)
        assert read(data, top=3).circuit == circuit_of(
            ("0.0", "1.1.q", 0.5), ("1.1", "logits", -2.0)
        )
        assert len(read(data, top=1000).circuit.edges) == 3, "an edge that scores 0 is none"
        with pytest.raises(SettingError, match="top must be at least 1, got 0"):
            read(data, top=0)

    def test_edges_without_scores_and_of_heads_outside(self, data):
        self.mark(data, **{"a0.h0->logits": None, "a0.h1->logits": None})
        del data["edges"]["a0.h0->logits"]["score"]
        data["nodes"]["a0.h1"] = False
        imported = read(data)
        assert imported.circuit == circuit_of(("0.0", "logits", 0.0))
        assert imported.notes == (
            "the file has no scores: every effect is 0",
            "1 edges of heads that are not in the graph were left out",
        )

    def test_files_of_2023(self, data):
        self.mark(data, **{"a0.h0->logits": 1.0})
        data["n_pos"] = None
        assert len(read(data).circuit.edges) == 1
        with pytest.raises(FormatError, match="n_pos: graphs by position have no counterpart"):
            read({**data, "n_pos": 7})

    @pytest.mark.parametrize(
        ("path", "value", "message"),
        [
            (("cfg",), 5, "cfg must be a JSON object, got a int"),
            (("nodes",), None, "nodes must be a JSON object, got nothing"),
            (("cfg", "n_heads"), "2", "cfg.n_heads must be a positive whole number, got '2'"),
            (("cfg", "n_layers"), True, "cfg.n_layers must be a positive whole number, got True"),
            (("nodes", "a0"), True, "nodes['a0']: 'a0' names no node"),
            (("nodes", "a0.h7"), True, "nodes['a0.h7'] is outside a model of 3 layers x 2 heads"),
            (("nodes", "a0.h1"), 1, "nodes['a0.h1'] must be a JSON object, got a int"),
            (("nodes", "a0.h1"), {"in_graph": 1}, "nodes['a0.h1'].in_graph must be true or false"),
            (("edges", "a0.h1"), {}, "edges['a0.h1']: 'a0.h1' names no edge"),
            (("edges", "m7->logits"), {}, "edges['m7->logits'] is outside a model"),
            (("edges", "m2->m1"), {}, "edges['m2->m1'] does not lead upward"),
            (("edges", "a1.h0->a1.h1<q>"), {}, "edges['a1.h0->a1.h1<q>'] does not lead upward"),
            (("edges", "m0->m1"), 0.5, "edges['m0->m1'] must be a JSON object, got a float"),
            (("edges", "m0->m1"), {}, "edges['m0->m1'].in_graph must be true or false, got None"),
            (
                ("edges", "m0->m1"),
                {"score": "x", "in_graph": True},
                "edges['m0->m1'].score must be a finite number, got 'x'",
            ),
            (
                ("edges", "m0->m1"),
                {"score": float("nan"), "in_graph": True},
                "edges['m0->m1'].score must be a finite number, got nan",
            ),
        ],
    )
    def test_damage_is_named_with_its_place(self, data, path, value, message):
        inner = data
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
        with pytest.raises(FormatError) as error:
            read(data)
        assert message in str(error.value)

    @pytest.mark.parametrize("text", ["{", "[]", "5", "[" * 100_000])
    def test_what_is_no_graph_at_all(self, text):
        with pytest.raises(FormatError, match=r"must be JSON|the file must be a JSON object"):
            from_eap_graph(text)
