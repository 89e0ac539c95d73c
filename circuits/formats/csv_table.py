"""A circuit as CSV: a row for each edge, and one for each head that has none.

The columns `sender`, `receiver` and `effect` are the edge's; `n_layers` and `n_heads` are the
model's, the same in each row, as is `mlps`, a column of circuits alone in which MLPs are nodes. A
row of a head without edges has no receiver and no effect, and the single row of an empty circuit
only the model's columns.
"""

from __future__ import annotations

import csv
import io

from circuits.circuit import Circuit
from circuits.circuit.reading import parse_mlps
from circuits.components import Edge, Head, Node, Receiver, parse_node
from circuits.errors import FormatError, quoted, quoted_list
from circuits.fields import parse_effect
from circuits.formats.eap_import import GraphReading
from circuits.formats.messages import Exported, Imported
from circuits.formats.networks import sizes_of
from circuits.formats.registry import Known
from circuits.graph import Mlps

_COLUMNS = ("sender", "receiver", "effect", "n_layers", "n_heads")
_Shape = tuple[int, int, Mlps]


class _Csv:
    """A row for each edge."""

    name = "csv"
    description = "a table with a row for each edge"
    suffixes = (".csv",)

    def write(self, circuit: Circuit, known: Known) -> Exported:
        """Write a circuit."""
        return to_csv(circuit)

    def read(self, text: str, reading: GraphReading | None) -> Imported:
        """Read a circuit."""
        return from_csv(text)


CSV = _Csv()


def to_csv(circuit: Circuit) -> Exported:
    """Write a circuit as CSV: the edge's sender, receiver and effect, and the model's size.

    >>> print(to_csv(other).text)
    sender,receiver,effect,n_layers,n_heads
    0.0,,,3,4
    2.1,,,3,4
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    sizes = sizes_of(circuit)
    writer.writerow((*_COLUMNS[:3], *sizes))
    joined = {end for edge in circuit.edges for end in edge.ends}
    rows = [(edge.sender, edge.receiver, repr(edge.effect)) for edge in sorted(circuit.edges)]
    rows += [(head, "", "") for head in sorted(circuit.heads - joined)]
    writer.writerows((*row, *sizes.values()) for row in rows or [("", "", "")])
    return Exported(file.getvalue())


def from_csv(text: str) -> Imported:
    """Read a circuit from CSV; heads are those that a row names.

    Raises:
        FormatError: A column is missing, or a row is malformed, and which.
        InputError: The rows make no circuit.

    >>> from_csv(to_csv(circuit).text).circuit == circuit
    True
    """
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    heads: set[Node] = set()
    edges: set[Edge] = set()
    sizes: dict[_Shape, int] = {}
    try:
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise FormatError(
                f"column {', '.join(missing)} is missing; a circuit's are {', '.join(_COLUMNS)}, "
                f"the file's are {quoted_list(reader.fieldnames or ())}"
            )
        for number, row in enumerate(reader, start=2):
            try:
                found, shape = _read_row(row)
            except ValueError as error:
                raise FormatError(f"row {number}: {error}") from error
            heads |= set(found.ends) if isinstance(found, Edge) else found
            edges |= {found} if isinstance(found, Edge) else set()
            sizes.setdefault(shape, number)
    except csv.Error as error:
        raise FormatError(f"line {reader.line_num + 1} is no CSV: {error}") from error
    if not sizes:
        raise FormatError("no row follows the header; an empty circuit has one, with its model's")
    if len(sizes) > 1:
        where = ", ".join(f"{shape} in row {number}" for shape, number in sizes.items())
        raise FormatError(f"n_layers, n_heads and mlps must be the same in every row, got {where}")
    inside = frozenset(node for node in heads if isinstance(node, Head))
    return Imported(Circuit(inside, frozenset(edges), *next(iter(sizes))))


def _read_row(row: dict[str, str | None]) -> tuple[Edge | set[Node], _Shape]:
    if None in row or None in row.values():
        raise FormatError(f"it must have as many cells as the header, {len(_COLUMNS)} or more")
    sender, receiver, effect = ((row[name] or "").strip() for name in _COLUMNS[:3])
    mlps = parse_mlps((row.get("mlps") or "path").strip())
    shape = _whole(row, "n_layers"), _whole(row, "n_heads"), mlps
    if not receiver and not effect:
        return ({parse_node(sender)} if sender else set()), shape
    return Edge(parse_node(sender), Receiver.parse(receiver), parse_effect(effect)), shape


def _whole(row: dict[str, str | None], name: str) -> int:
    try:
        return int(row[name] or "")
    except ValueError:
        raise FormatError(f"{name} must be a whole number, got {quoted(row[name])}") from None
