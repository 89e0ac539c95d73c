"""Circuits as tables."""

import pytest

from circuits.errors import FormatError, InputError
from circuits.formats import export_circuit, from_csv
from tests.circuits.formats.graphs import CIRCUIT, NODE_CIRCUIT

HEADER = "sender,receiver,effect,n_layers,n_heads\n"


def test_form():
    assert export_circuit(CIRCUIT, "csv").text == (
        f"{HEADER}0.1,2.0.q,-0.25,3,2\n0.1,2.0.v,0.5,3,2\n2.0,logits,-1.0,3,2\n1.0,,,3,2\n"
    )


def test_form_of_nodes():
    assert export_circuit(NODE_CIRCUIT, "csv").text.splitlines() == [
        "sender,receiver,effect,n_layers,n_heads,mlps",
        "embed,m0,0.5,3,2,nodes",
        "m0,2.0.k,-0.25,3,2,nodes",
        "2.0,m2,-0.75,3,2,nodes",
        "m2,logits,-1.0,3,2,nodes",
        "1.1,,,3,2,nodes",
    ]
    with pytest.raises(FormatError, match=r"row 2: mlps must be one of .*, got 'some'"):
        from_csv("sender,receiver,effect,n_layers,n_heads,mlps\n0.1,,,3,2,some")


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
        ("0.1,,,3,2\n1.0,,,4,2", r"the same in every row, got \(3, 2, 'path'\) in row 2, \(4, 2, "),
        ("", "no row follows the header"),
        ('"0.1"x,,,3,2', "line 2 is no CSV"),
    ],
)
def test_errors_say_where(text, message):
    header = "" if "column" in message else HEADER
    with pytest.raises(FormatError, match=message):
        from_csv(header + text)


def test_a_head_outside_the_model():
    with pytest.raises(InputError, match=r"head 5\.1 is outside a model of 3"):
        from_csv(f"{HEADER}5.1,,,3,2")
