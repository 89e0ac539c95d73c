"""JSON, networkx, DOT and CSV."""

import json

import jsonschema
import networkx as nx
import pytest
from hypothesis import given

from circuits import Circuit, Edge, Head, Receiver, list_references, load_reference
from circuits.formats import (
    FORMATS,
    circuit_schema,
    export_circuit,
    format_of_path,
    from_csv,
    from_dot,
    from_networkx,
    import_circuit,
    to_networkx,
)
from circuits.formats.networks import from_node_link
from tests.circuits.strategies import circuits

PLAIN = tuple(name for name in FORMATS if name != "eap-ig")
EDGES = {
    Edge(Head(0, 1), Receiver.parse("2.0.q"), -0.25),
    Edge(Head(0, 1), Receiver.parse("2.0.v"), 0.5),
    Edge(Head(2, 0), Receiver.logits(), -1.0),
}
CIRCUIT = Circuit(frozenset({Head(0, 1), Head(1, 0), Head(2, 0)}), frozenset(EDGES), 3, 2)


@pytest.mark.parametrize("name", PLAIN)
@given(circuit=circuits())
def test_every_circuit_comes_back(name, circuit):
    exported = export_circuit(circuit, name)
    assert exported.notes == ()
    assert import_circuit(exported.text, name).circuit == circuit
    assert import_circuit(exported.text).circuit == circuit, "told by its content"


@given(circuit=circuits())
def test_networkx_graphs_come_back(circuit):
    assert from_networkx(to_networkx(circuit)) == circuit


class TestJson:
    def test_the_schema_is_one(self):
        jsonschema.Draft202012Validator.check_schema(circuit_schema())

    @given(circuit=circuits())
    def test_circuits_keep_to_it(self, circuit):
        jsonschema.validate(circuit.to_dict(), circuit_schema())

    def test_a_saved_run_keeps_to_it(self, found, tmp_path):
        found.save(tmp_path)
        jsonschema.validate(json.loads((tmp_path / "circuit.json").read_text()), circuit_schema())

    @pytest.mark.parametrize("name", list_references())
    def test_references_keep_to_it(self, name):
        jsonschema.validate(load_reference(name).circuit.to_dict(), circuit_schema())

    @pytest.mark.parametrize(
        "change",
        [
            {"heads": ["9"]},
            {"heads": ["0.1", "0.1"]},
            {"n_layers": 0},
            {"edges": [{"sender": "0.1", "receiver": "2.0.x", "effect": 1}]},
            {"edges": [{"sender": "0.1", "receiver": "2.0.q"}]},
            {"edges": [{"sender": "0.1", "receiver": "2.0.q", "effect": "1"}]},
        ],
    )
    def test_what_is_no_circuit_does_not(self, change):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**CIRCUIT.to_dict(), **change}, circuit_schema())


class TestNetworkx:
    def test_form(self):
        graph = to_networkx(CIRCUIT)
        assert graph.graph == {"n_layers": 3, "n_heads": 2}
        assert graph.nodes["0.1"] == {"layer": 0, "index": 1}
        assert graph.edges["0.1", "2.0", "v"] == {"input": "v", "effect": 0.5}
        assert nx.has_path(graph, "0.1", "logits")

    def test_a_simple_graph_of_ones_own(self):
        graph = nx.DiGraph(n_layers=3, n_heads=2)
        graph.add_edge("0.1", "2.0", input="q", effect=-0.25)
        graph.add_edge("2.0", "logits", effect=-1)
        circuit = from_networkx(graph)
        assert circuit.edges < CIRCUIT.edges
        assert len(circuit.edges) == 2

    @pytest.mark.parametrize(
        ("attributes", "message"),
        [
            ({"effect": 1}, "edge 0.1 -> 2.0: it has no input: q, k or v"),
            ({"input": "q"}, "edge 0.1 -> 2.0: it has no effect"),
            ({"input": "q", "effect": "much"}, "its effect must be a number, got 'much'"),
            ({"input": "x", "effect": 1}, "a receiver is written 9.6.q"),
        ],
    )
    def test_edges_that_are_none(self, attributes, message):
        graph = nx.DiGraph(n_layers=3, n_heads=2)
        graph.add_edge("0.1", "2.0", **attributes)
        with pytest.raises(ValueError, match=message):
            from_networkx(graph)

    def test_edges_have_a_direction(self):
        with pytest.raises(ValueError, match="edges of a circuit are directed"):
            from_networkx(nx.Graph(to_networkx(CIRCUIT)))

    def test_nodes_and_sizes_that_are_none(self):
        graph = nx.DiGraph(n_layers=3)
        with pytest.raises(ValueError, match="the graph has no n_heads"):
            from_networkx(graph)
        graph = nx.DiGraph(n_layers=3, n_heads=2)
        graph.add_node("mlp 3")
        with pytest.raises(ValueError, match=r"node 'mlp 3': a head is written layer.index"):
            from_networkx(graph)

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"nodes": 5, "edges": []}', "3"])
    def test_files_that_are_none(self, text):
        with pytest.raises(ValueError, match=r"node-link|n_layers"):
            from_node_link(text)

    def test_files_of_networkx_2(self):
        links = nx.node_link_data(to_networkx(CIRCUIT), edges="links")
        assert import_circuit(json.dumps(links)).circuit == CIRCUIT


class TestDot:
    def test_form(self):
        text = export_circuit(CIRCUIT, "dot").text
        assert text.startswith("digraph circuit {\n  graph [n_layers=3, n_heads=2, rankdir=BT];")
        assert '"0.1" -> "2.0" [input="q", effect="-0.25", label="q", color="#0072b2"' in text
        assert '"2.0" -> "logits" [input="logits"' in text
        assert '{ rank=same; "1.0"; }' in text

    def test_the_language(self):
        text = """
        # a comment
        strict digraph "a \\"name\\" -- of mine" {
          n_layers = 3; n_heads = "2"  // both forms
          subgraph cluster_0 { rank=same n_layers=9; 0.1; "1.0" [label="a, [b]"] }
          node [shape=box]; edge [color="red"]
          /* two edges
             at once */
          0.1 -> 2.0 [input=q, effect=-.25; penwidth=2][label="->"]
          0.1 -> "2.0" [input=v effect=0.5]
          2.0 -> logits [effect=-1.]
        }
        """
        assert from_dot(text).circuit == CIRCUIT
        assert import_circuit(text).circuit == CIRCUIT

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("graph {}", "a circuit in DOT begins with: digraph NAME {"),
            ("digraph {", "line 1: a node, an edge or } must stand here, got 'the end of the te"),
            ("digraph {\n a -- b }", "line 2: edges of a circuit are directed"),
            ("digraph {\n\n 0.1 -> }", "line 3: a name must stand here, got '}'"),
            ("digraph {\n 0.1 [label }", "line 2: = must stand here, got '}'"),
            ("digraph {\n 0.1 [label=<b>] }", "line 2: '<b>] }' is no DOT"),
            ("digraph {} }", "nothing must follow the graph, got '}'"),
            (
                "digraph { n_heads=2 }",
                "the graph has no n_layers: it must say n_layers and n_heads",
            ),
            ("digraph { n_layers=x }", "n_layers must be a whole number, got 'x'"),
            (
                "digraph { n_layers=3 n_heads=2\n a9 }",
                "line 2, node 'a9': a head is written layer.index",
            ),
            (
                "digraph { n_layers=3 n_heads=2 /*\n*/ 0.1 -> 1.0 [effect=1] }",
                "line 2, edge 0.1 -> 1.0: it has no input",
            ),
            ("digraph { n_layers=3 n_heads=2 0.7 }", "head 0.7 is outside a model of 3 layers"),
        ],
    )
    def test_errors_say_where(self, text, message):
        with pytest.raises(ValueError, match=message):
            from_dot(text)


class TestCsv:
    def test_form(self):
        assert export_circuit(CIRCUIT, "csv").text == (
            "sender,receiver,effect,n_layers,n_heads\n"
            "0.1,2.0.q,-0.25,3,2\n"
            "0.1,2.0.v,0.5,3,2\n"
            "2.0,logits,-1.0,3,2\n"
            "1.0,,,3,2\n"
        )

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "column sender, receiver, effect, n_layers, n_heads is missing"),
            ("sender,receiver,n_layers,n_heads\n", "column effect is missing"),
            ("0.1,2.0.q,x,3,2", "row 2: its effect must be a number, got 'x'"),
            ("0.1,2.0,1,3,2", "row 2: a receiver is written 9.6.q"),
            ("0.1,,,3,2\n,2.0.q,1,3,2", "row 3: a head is written layer.index"),
            ("0.1,,,3", "row 2: it must have as many cells as the header"),
            ("0.1,,,3,2,9", "row 2: it must have as many cells as the header"),
            ("0.1,,,three,2", "row 2: n_layers must be a whole number, got 'three'"),
            ("0.1,,,3,2\n1.0,,,4,2", r"the same in every row, got \(3, 2\) in row 2, \(4, 2\) in"),
            ("", "no row follows the header"),
            ('"0.1"x,,,3,2', "line 2 is no CSV"),
            ("5.1,,,3,2", "head 5.1 is outside a model of 3"),
        ],
    )
    def test_errors_say_where(self, text, message):
        header = "" if "column" in message else "sender,receiver,effect,n_layers,n_heads\n"
        with pytest.raises(ValueError, match=message):
            from_csv(header + text)


def test_formats_by_name_and_by_suffix(tmp_path):
    with pytest.raises(ValueError, match="unknown format 'xml'; known formats: json, networkx"):
        export_circuit(CIRCUIT, "xml")
    with pytest.raises(ValueError, match="needs the shape of the model"):
        export_circuit(CIRCUIT, "eap-ig")
    assert format_of_path(tmp_path / "a.GV") == "dot"
    assert format_of_path(tmp_path / "a.json") is None
    with pytest.raises(ValueError, match="is a pickle, which can run code"):
        format_of_path(tmp_path / "graph.pt")
    with pytest.raises(ValueError, match="a circuit needs"):
        import_circuit("[]")
    for text in ("{", "[" * 100_000):
        with pytest.raises(ValueError, match="a circuit must be JSON"):
            import_circuit(text)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("effect", [float("nan"), float("-inf")])
def test_an_effect_that_is_no_number_is_refused(name, effect):
    broken = Edge(Head(0, 1), Receiver.logits(), effect)
    text = export_circuit(Circuit(frozenset({Head(0, 1)}), frozenset({broken}), 3, 2), name).text
    with pytest.raises(ValueError, match="effect must be a number, got"):
        import_circuit(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" \n", "there is nothing in it"),
        ("null", "a circuit needs .* got NoneType"),
        ("5", "a circuit needs .* got int"),
        ("sender;receiver\n", "the file's are 'sender;receiver'"),
    ],
)
def test_files_of_no_format_say_what_they_are(text, message):
    with pytest.raises(ValueError, match=message):
        import_circuit(text)
