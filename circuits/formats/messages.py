"""What an exchange gives back beside the circuit: choices that its user should know of."""

from __future__ import annotations

from dataclasses import dataclass

from circuits.circuit import Circuit


@dataclass(frozen=True)
class Exported:
    """A circuit in another format.

    Attributes:
        text: The content of a file.
        notes: What the format made necessary, a sentence each.

    """

    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Imported:
    """A circuit from another format.

    Attributes:
        circuit: Heads and edges.
        notes: What was left out or decided, a sentence each.

    """

    circuit: Circuit
    notes: tuple[str, ...] = ()
