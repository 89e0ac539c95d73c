"""Formats by name: how a circuit is written in each, and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from circuits.errors import FormatError
from circuits.runtime.registry import Registry

if TYPE_CHECKING:
    from circuits.circuit import Circuit
    from circuits.formats.eap_export import GraphConfig
    from circuits.formats.eap_import import GraphReading
    from circuits.formats.messages import Exported, Imported
    from circuits.graph import ModelGraph
    from circuits.patching import EdgeValues


@dataclass(frozen=True, eq=False)
class Known:
    """What is known beside the circuit, for formats that hold more than it.

    Attributes:
        graph: The model's.
        effects: Measured effects, as scores of what is not in the circuit.
        config: How MLPs and nodes are written.

    >>> from circuits.formats import GraphConfig
    >>> known = Known(graph, effects, GraphConfig(d_model=32))
    >>> FORMATS.get("eap-ig").write(circuit, known).text[:22]
    '{"cfg": {"n_layers": 3'
    """

    graph: ModelGraph | None = None
    effects: EdgeValues | None = None
    config: GraphConfig | None = None


@runtime_checkable
class CircuitFormat(Protocol):
    """A way to write circuits, and to read them.

    `FORMATS.register` adds one of your own.

    Attributes:
        name: What `--format` calls it.
        description: What reads it, in a few words.
        suffixes: Endings of its files, where no other format has them.

    >>> {one.name: one.suffixes for one in FORMATS.all() if one.suffixes}
    {'dot': ('.dot', '.gv'), 'csv': ('.csv',)}
    """

    name: str
    description: str
    suffixes: tuple[str, ...]

    def write(self, circuit: Circuit, known: Known) -> Exported:
        """Write a circuit. Raises InputError where the format cannot hold it."""
        ...

    def read(self, text: str, reading: GraphReading | None) -> Imported:
        """Read a circuit.

        Raises:
            FormatError: The text is malformed, and where.
            InputError: It makes no circuit; the base of FormatError.

        """
        ...


def _flaw(entry: Any) -> str | None:
    if isinstance(entry, CircuitFormat):
        return None
    return "it must have a description, suffixes and methods write and read (CircuitFormat)"


FORMATS: Registry[CircuitFormat] = Registry(
    "format",
    {
        "json": "circuits.formats.own_json:JSON",
        "networkx": "circuits.formats.networks:NETWORKX",
        "dot": "circuits.formats.dot:DOT",
        "csv": "circuits.formats.csv_table:CSV",
        "eap-ig": "circuits.formats.eap_format:EAP_IG",
    },
    _flaw,
    error=FormatError,
)
"""Every format."""
