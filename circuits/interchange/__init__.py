"""Circuits in the formats of others: networkx, Graphviz DOT, CSV, EAP-IG and MIB; and our JSON."""

from circuits.interchange.dot import from_dot, to_dot
from circuits.interchange.eap_export import GraphConfig, to_eap_graph
from circuits.interchange.eap_graph import GraphShape
from circuits.interchange.eap_import import GraphReading, from_eap_graph
from circuits.interchange.edge_table import from_csv, to_csv
from circuits.interchange.formats import (
    FORMATS,
    Format,
    export_circuit,
    format_of_path,
    format_of_text,
    import_circuit,
)
from circuits.interchange.messages import Exported, Imported
from circuits.interchange.networks import from_networkx, to_networkx
from circuits.interchange.schema import circuit_schema

__all__ = [
    "FORMATS",
    "Exported",
    "Format",
    "GraphConfig",
    "GraphReading",
    "GraphShape",
    "Imported",
    "circuit_schema",
    "export_circuit",
    "format_of_path",
    "format_of_text",
    "from_csv",
    "from_dot",
    "from_eap_graph",
    "from_networkx",
    "import_circuit",
    "to_csv",
    "to_dot",
    "to_eap_graph",
    "to_networkx",
]
