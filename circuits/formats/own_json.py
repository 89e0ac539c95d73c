"""Our own JSON, whose schema is `circuit.schema.json`."""

from __future__ import annotations

from circuits.circuit import Circuit
from circuits.formats.eap_import import GraphReading
from circuits.formats.messages import Exported, Imported
from circuits.formats.registry import Known


class _Json:
    """What `Circuit.to_json` writes."""

    name = "json"
    description = "ours, as in a run's circuit.json"
    suffixes = ()
    keeps_spans = True

    def write(self, circuit: Circuit, known: Known) -> Exported:
        """Write a circuit."""
        return Exported(circuit.to_json() + "\n")

    def read(self, text: str, reading: GraphReading | None) -> Imported:
        """Read a circuit."""
        return Imported(Circuit.from_json(text))


JSON = _Json()
