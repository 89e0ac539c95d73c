"""The formats by name, and which of them a file is in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from circuits.circuit import Circuit
from circuits.errors import InputError
from circuits.formats.csv_table import from_csv, to_csv
from circuits.formats.dot import from_dot, to_dot
from circuits.formats.eap_export import GraphConfig, to_eap_graph
from circuits.formats.eap_import import GraphReading, from_eap_graph
from circuits.formats.messages import Exported, Imported
from circuits.formats.networks import from_node_link, to_node_link
from circuits.graph import ModelGraph
from circuits.patching import EdgeValues

Format = Literal["json", "networkx", "dot", "csv", "eap-ig"]
"""What `export_circuit` writes and `import_circuit` reads."""
FORMATS: tuple[Format, ...] = get_args(Format)
"""Every format."""
_WRITERS: dict[str, Callable[[Circuit], Exported]] = {
    "json": lambda circuit: Exported(circuit.to_json() + "\n"),
    "networkx": to_node_link,
    "dot": to_dot,
    "csv": to_csv,
}
_READERS: dict[str, Callable[[str], Imported]] = {
    "json": lambda text: Imported(Circuit.from_json(text)),
    "networkx": from_node_link,
    "dot": from_dot,
    "csv": from_csv,
}
_BY_SUFFIX: dict[str, Format] = {".dot": "dot", ".gv": "dot", ".csv": "csv"}
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
            or "eap-ig" (EAP-IG and the MIB circuit track).
        graph: The model's; "eap-ig" needs it.
        effects: For "eap-ig": measured effects, as scores of what is not in the circuit.
        config: For "eap-ig": how MLPs and nodes are written.

    Raises:
        ValueError: The format is unknown, or cannot hold this circuit.

    """
    _check_format(format)
    if format != "eap-ig":
        return _WRITERS[format](circuit)
    if graph is None:
        raise InputError("the eap-ig format needs the graph of the model")
    return to_eap_graph(circuit, graph, effects, config)


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
        ValueError: The format is unknown, or the text is malformed, and where.

    """
    if not text.strip():
        raise ValueError("there is nothing in it")
    format = format or format_of_text(text)
    _check_format(format)
    return from_eap_graph(text, reading) if format == "eap-ig" else _READERS[format](text)


def format_of_path(path: Path) -> Format | None:
    """The format that a file's name tells; None where its content must. Raises ValueError."""
    if path.suffix.lower() in _PICKLES:
        raise ValueError(
            f"{path} is a pickle, which can run code and is not read or written here; one that was "
            "made elsewhere becomes JSON there (EAP-IG: Graph.from_pt(FILE).to_json(FILE))"
        )
    return _BY_SUFFIX.get(path.suffix.lower())


def format_of_text(text: str) -> Format:
    """JSON by its keys, DOT by its first word, else CSV."""
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


def _check_format(format: str) -> None:
    if format not in FORMATS:
        raise ValueError(f"unknown format {format!r}; known formats: {', '.join(FORMATS)}")
