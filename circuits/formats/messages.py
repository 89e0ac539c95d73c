"""What an exchange gives back beside the circuit: choices that its user should know of."""

from __future__ import annotations

from dataclasses import dataclass

from circuits.circuit import Circuit
from circuits.patching import EdgeValues


@dataclass(frozen=True)
class Exported:
    """A circuit in another format.

    Attributes:
        text: The content of a file.
        notes: What the format made necessary, a sentence each.

    >>> from circuits.formats import GraphConfig, to_eap_graph
    >>> print(to_eap_graph(circuit, graph, config=GraphConfig(d_model=32)).notes[1])
    scores are minus effects; edges with MLPs or the embedding score as the strongest path ...
    """

    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Imported:
    """A circuit from another format.

    Attributes:
        circuit: Heads and edges.
        notes: What was left out or decided, a sentence each.
        effects: Of a graph of EAP-IG that was read with MLPs as nodes, minus the scores of all its
            edges, also of those outside the circuit; None otherwise.

    >>> from circuits.formats import GraphConfig, from_eap_graph, to_eap_graph
    >>> written = to_eap_graph(circuit, graph, config=GraphConfig(d_model=32))
    >>> print(from_eap_graph(written.text).notes[0])
    effects are minus the scores of the file
    """

    circuit: Circuit
    notes: tuple[str, ...] = ()
    effects: EdgeValues | None = None
