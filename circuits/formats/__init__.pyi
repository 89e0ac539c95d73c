from .csv_table import from_csv, to_csv
from .dot import from_dot, to_dot
from .eap_export import GraphConfig, to_eap_graph
from .eap_import import GraphReading, from_eap_graph
from .exchange import export_circuit, format_of_path, format_of_text, import_circuit
from .messages import Exported, Imported
from .mib import importances
from .mib_names import FOLDERS, mib_folder
from .networks import from_networkx, to_networkx
from .registry import FORMATS, CircuitFormat, Known
from .schema import circuit_schema

__all__ = [
    "FOLDERS",
    "FORMATS",
    "CircuitFormat",
    "Exported",
    "GraphConfig",
    "GraphReading",
    "Imported",
    "Known",
    "circuit_schema",
    "export_circuit",
    "format_of_path",
    "format_of_text",
    "from_csv",
    "from_dot",
    "from_eap_graph",
    "from_networkx",
    "import_circuit",
    "importances",
    "mib_folder",
    "to_csv",
    "to_dot",
    "to_eap_graph",
    "to_networkx",
]
