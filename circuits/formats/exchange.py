"""Writing a circuit in a format, and reading one from a file of any."""

from __future__ import annotations

import json
from pathlib import Path

from circuits.circuit import Circuit
from circuits.errors import FormatError, InputError
from circuits.formats.eap_export import GraphConfig
from circuits.formats.eap_import import GraphReading
from circuits.formats.messages import Exported, Imported
from circuits.formats.registry import FORMATS, Known
from circuits.graph import ModelGraph
from circuits.patching import EdgeValues

_PICKLES = (".pt", ".pth", ".pkl", ".pickle")


def export_circuit(
    circuit: Circuit,
    format: str = "json",
    graph: ModelGraph | None = None,
    effects: EdgeValues | None = None,
    config: GraphConfig | None = None,
) -> Exported:
    """Write a circuit in a format.

    Args:
        circuit: Heads and edges.
        format: "json" (ours, see `circuit.schema.json`), "networkx" (node-link JSON), "dot", "csv",
            "eap-ig" (EAP-IG and the MIB circuit track), or one that was registered.
        graph: The model's; "eap-ig" needs it.
        effects: For "eap-ig": measured effects, as scores of what is not in the circuit.
        config: For "eap-ig": how MLPs and nodes are written.

    Raises:
        FormatError: The format is unknown.
        InputError: The format cannot hold this circuit, such as spans where it does not say
            `keeps_spans`, or needs `graph`.

    >>> print(export_circuit(circuit, "csv").text.splitlines()[0])
    sender,receiver,effect,n_layers,n_heads
    """
    writer = FORMATS.get(format)
    if circuit.spans is not None and not getattr(writer, "keeps_spans", False):
        raise InputError(
            f"format {format!r} does not tell edges apart by spans of positions: write json, which "
            "does, or the circuit without them (Circuit.without_spans, --without-spans)"
        )
    return writer.write(circuit, Known(graph, effects, config))


def import_circuit(
    text: str,
    format: str | None = None,
    reading: GraphReading | None = None,
) -> Imported:
    """Read a circuit from a format.

    Args:
        text: The content of a file.
        format: As for `export_circuit`; what the text looks like without.
        reading: For "eap-ig": what becomes an edge.

    Raises:
        FormatError: The format is unknown, or the text is malformed, and where.
        InputError: Its heads and edges make no circuit, such as a head outside the model.

    >>> import_circuit(circuit.to_json()).circuit == circuit
    True
    """
    if not text.strip():
        raise FormatError("there is nothing in it")
    return FORMATS.get(format or format_of_text(text)).read(text, reading)


def format_of_path(path: Path) -> str | None:
    """The format of a file by the ending of its name; None where only its content can say.

    Raises:
        FormatError: It is a pickle, which can run code.

    >>> format_of_path(Path("circuit.dot")), format_of_path(Path("circuit.json"))
    ('dot', None)
    """
    if path.suffix.lower() in _PICKLES:
        raise FormatError(
            f"{path} is a pickle, which can run code and is not read or written here; one that was "
            "made elsewhere becomes JSON there (EAP-IG: Graph.from_pt(FILE).to_json(FILE))"
        )
    known = (one for one in FORMATS.all() if path.suffix.lower() in one.suffixes)
    return next((one.name for one in known), None)


def format_of_text(text: str) -> str:
    """The format of a text: JSON by its keys, DOT by its first word, else CSV.

    >>> format_of_text("digraph circuit {}"), format_of_text('{"cfg": {}}')
    ('dot', 'eap-ig')
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        if text.lstrip().startswith(("{", "[")):
            return "json"
        is_dot = "{" in text and "graph" in text.partition("{")[0].lower()
        return "dot" if is_dot else "csv"
    keys = data.keys() if isinstance(data, dict) else set()
    if "cfg" in keys:
        return "eap-ig"
    return "networkx" if "nodes" in keys else "json"
