"""The graph of EAP-IG and the MIB circuit track as a format."""

from __future__ import annotations

from circuits.circuit import Circuit
from circuits.errors import InputError
from circuits.formats.eap_export import to_eap_graph
from circuits.formats.eap_import import GraphReading, from_eap_graph
from circuits.formats.messages import Exported, Imported
from circuits.formats.registry import Known


class _EapIg:
    """`eap_names` says how it looks."""

    name = "eap-ig"
    description = "EAP-IG and the MIB circuit track"
    suffixes = ()

    def write(self, circuit: Circuit, known: Known) -> Exported:
        """Write a circuit, which needs the model's graph."""
        if known.graph is None:
            raise InputError("the eap-ig format needs the graph of the model")
        return to_eap_graph(circuit, known.graph, known.effects, known.config)

    def read(self, text: str, reading: GraphReading | None) -> Imported:
        """Read a circuit."""
        return from_eap_graph(text, reading)


EAP_IG = _EapIg()
