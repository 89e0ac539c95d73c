"""`circuits compare`: how two circuits agree, and how chance would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from circuits.circuit import Circuit
from circuits.cli import options
from circuits.cli.errors import usage_errors
from circuits.cli.inputs import circuit_of, read, read_named, warn_of_other_origin
from circuits.cli.terminal import out, print_json, print_warning
from circuits.references import Reference, check_same_shape

if TYPE_CHECKING:
    from circuits.discovery.result import Discovery
    from circuits.graph import ModelGraph

ComparedWith = Annotated[
    str,
    typer.Argument(
        metavar="REFERENCE",
        help="A run's directory, a circuit as JSON, or a name of `circuits references`.",
    ),
]


def compare(run: options.Run, reference: ComparedWith, json: options.Json = False) -> None:
    """Compare a circuit with a reference, and with what chance would do."""
    theirs, found = read_named(reference), read(run)
    if isinstance(theirs, Reference):
        with usage_errors():
            check_same_shape(theirs, circuit_of(found))
    _warn(found, theirs, reference)
    from circuits.comparison import compare_circuits

    against = theirs if isinstance(theirs, Reference) else circuit_of(theirs)
    comparison = compare_circuits(found, against, _graph(theirs))
    if json:
        from circuits.cli.as_json.results import comparison as plain

        print_json(plain(comparison, theirs.name if isinstance(theirs, Reference) else None))
    else:
        from circuits.cli.tables.comparison import comparison as table

        out.print(table(comparison, str(run), reference))


def _graph(theirs: Reference | Discovery | Circuit) -> ModelGraph | None:
    """The model's, where it is the run of another discovery that says which it is."""
    from circuits.discovery.result import Discovery

    return theirs.provenance.model.graph() if isinstance(theirs, Discovery) else None


def _warn(
    found: Discovery | Circuit, theirs: Discovery | Circuit | Reference, reference: str
) -> None:
    """Say what makes a comparison mean less than it seems to."""
    from circuits.discovery.result import Discovery

    if isinstance(theirs, Reference) and not theirs.verified:
        print_warning(f"{theirs.name} was not seen in a primary source; {theirs.note}")
    if not isinstance(found, Discovery) or isinstance(theirs, Circuit):
        return
    mine = found.provenance
    warn_of_other_origin(theirs, reference, mine.task, mine.model.name)
    if isinstance(theirs, Discovery):
        other = theirs.provenance.model
        if mine.model.name == other.name and mine.model.weight_hash != other.weight_hash:
            print_warning(
                f"{reference} is of other weights of {other.name} ({other.weight_hash[:12]}, "
                f"{other.dtype}) than the circuit ({mine.model.weight_hash[:12]}, "
                f"{mine.model.dtype})"
            )


COMMANDS = {
    "compare": options.command(
        compare,
        "compare",
        "circuits compare runs/ioi runs/ioi-exact",
        "circuits compare runs/ioi published.json",
        "circuits compare runs/greater-than greater-than-smollm2-135m",
    )
}
