"""JSON, networkx, DOT and CSV: told apart, and read back."""

import pytest
from hypothesis import given

from circuits import Circuit, Edge, Head, Receiver
from circuits.errors import FormatError, InputError
from circuits.formats import FORMATS, export_circuit, format_of_path, import_circuit
from tests.circuits.formats.graphs import CIRCUIT
from tests.circuits.strategies import circuits, node_circuits

PLAIN = tuple(name for name in FORMATS.names() if name != "eap-ig")


@pytest.mark.parametrize("name", PLAIN)
@given(circuit=circuits() | node_circuits())
def test_every_circuit_comes_back(name, circuit):
    exported = export_circuit(circuit, name)
    assert exported.notes == ()
    assert import_circuit(exported.text, name).circuit == circuit
    assert import_circuit(exported.text).circuit == circuit, "recognised by its content"


def test_formats_by_name_and_by_suffix(tmp_path):
    with pytest.raises(FormatError, match="unknown format 'xml'; known formats: json, networkx"):
        export_circuit(CIRCUIT, "xml")
    with pytest.raises(InputError, match="needs the graph of the model"):
        export_circuit(CIRCUIT, "eap-ig")
    assert format_of_path(tmp_path / "a.GV") == "dot"
    assert format_of_path(tmp_path / "a.json") is None
    with pytest.raises(FormatError, match="is a pickle, which can run code"):
        format_of_path(tmp_path / "graph.pt")
    with pytest.raises(FormatError, match="a circuit needs"):
        import_circuit("[]")
    for text in ("{", "[" * 100_000):
        with pytest.raises(FormatError, match="a circuit must be JSON"):
            import_circuit(text)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("effect", [float("nan"), float("-inf")])
def test_an_effect_that_is_no_number_is_refused(name, effect):
    broken = Edge(Head(0, 1), Receiver.logits(), effect)
    text = export_circuit(Circuit(frozenset({Head(0, 1)}), frozenset({broken}), 3, 2), name).text
    with pytest.raises(InputError, match="effect must be a number, got"):
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
    with pytest.raises(InputError, match=message):
        import_circuit(text)
