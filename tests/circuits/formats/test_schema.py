"""Our own JSON, and its schema."""

import json

import jsonschema
import pytest
from hypothesis import given

from circuits import list_references, load_reference
from circuits.formats import circuit_schema
from tests.circuits.formats.graphs import CIRCUIT
from tests.circuits.strategies import circuits, node_circuits


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(circuit_schema())


@given(circuit=circuits() | node_circuits())
def test_circuits_keep_to_it(circuit):
    jsonschema.validate(circuit.to_dict(), circuit_schema())


def test_a_saved_run_keeps_to_it(found, tmp_path):
    found.save(tmp_path)
    jsonschema.validate(json.loads((tmp_path / "circuit.json").read_text()), circuit_schema())


@pytest.mark.parametrize("name", list_references())
def test_references_keep_to_it(name):
    jsonschema.validate(load_reference(name).circuit.to_dict(), circuit_schema())


@pytest.mark.parametrize(
    "change",
    [
        {"heads": ["9"]},
        {"heads": ["0.1", "0.1"]},
        {"n_layers": 0},
        {"mlps": "all"},
        {"edges": [{"sender": "m", "receiver": "logits", "effect": 1}]},
        {"edges": [{"sender": "0.1", "receiver": "2.0.x", "effect": 1}]},
        {"edges": [{"sender": "0.1", "receiver": "2.0.q"}]},
        {"edges": [{"sender": "0.1", "receiver": "2.0.q", "effect": "1"}]},
    ],
)
def test_what_is_no_circuit_does_not(change):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**CIRCUIT.to_dict(), **change}, circuit_schema())
