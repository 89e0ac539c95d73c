"""Circuits as Graphviz DOT."""

import pytest

from circuits.errors import FormatError, InputError
from circuits.formats import export_circuit, from_dot, import_circuit
from tests.circuits.formats.graphs import CIRCUIT, NODE_CIRCUIT


def test_form():
    text = export_circuit(CIRCUIT, "dot").text
    assert text.startswith("digraph circuit {\n  graph [n_layers=3, n_heads=2, rankdir=BT];")
    assert '"0.1" -> "2.0" [input="q", effect="-0.25", label="q", color="#0072b2"' in text
    assert '"2.0" -> "logits" [input="logits"' in text
    assert '{ rank=same; "1.0"; }' in text


def test_form_of_nodes():
    text = export_circuit(NODE_CIRCUIT, "dot").text
    assert "graph [n_layers=3, n_heads=2, mlps=nodes, rankdir=BT];" in text
    assert '{ rank=same; "embed"; }' in text
    assert '{ rank=same; "2.0"; }\n  { rank=same; "m2"; }' in text, "an MLP above its layer's heads"
    assert '"embed" -> "m0" [input="mlp", effect="0.5", label=""' in text


def test_the_language():
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
    ],
)
def test_errors_say_where(text, message):
    with pytest.raises(FormatError, match=message):
        from_dot(text)


def test_a_head_outside_the_model():
    with pytest.raises(InputError, match=r"head 0\.7 is outside a model of 3 layers"):
        from_dot("digraph { n_layers=3 n_heads=2 0.7 }")
