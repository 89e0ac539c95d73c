"""The `compare` and `references` commands."""

from __future__ import annotations

from pathlib import Path

from circuits.circuit import Circuit
from circuits.cli import comparison_tables, reference_tables, reports
from circuits.cli.console import out, print_json, print_warning
from circuits.cli.errors import usage_errors
from circuits.cli.reading import read, read_named
from circuits.comparison import compare_circuits
from circuits.discovery.result import Discovery
from circuits.references import Reference, check_same_shape, list_references, load_reference


def compare(run: Path, reference: str, as_json: bool) -> None:
    """Print how two circuits agree, and how chance would."""
    theirs = read_named(reference)
    found = read(run)
    if isinstance(theirs, Reference):
        mine = found.circuit if isinstance(found, Discovery) else found
        with usage_errors():
            check_same_shape(theirs, mine)
        _warn(found, theirs)
    against = theirs.circuit if isinstance(theirs, Discovery) else theirs
    comparison = compare_circuits(found, against)
    if as_json:
        named = theirs.name if isinstance(theirs, Reference) else None
        print_json(reports.comparison(comparison, named))
    else:
        out.print(comparison_tables.comparison(comparison, str(run), reference))


def references(name: str | None, as_json: bool) -> None:
    """Print all references, or one of them with everything that is known of it."""
    with usage_errors():
        shown = [load_reference(one) for one in (list_references() if name is None else [name])]
    if as_json:
        print_json(shown[0].to_dict() if name else [reports.reference(one) for one in shown])
    elif name:
        out.print(reference_tables.reference(shown[0]))
    else:
        out.print(reference_tables.references(shown))


def _warn(found: Discovery | Circuit, reference: Reference) -> None:
    """Say what makes a comparison mean less than it seems to."""
    if not reference.verified:
        print_warning(f"{reference.name} was not seen in a primary source; {reference.note}")
    if not isinstance(found, Discovery):
        return
    source = found.provenance
    for what, mine, theirs in (
        ("task", source.task, reference.task),
        ("model", source.model.name, reference.model),
    ):
        if mine != theirs:
            print_warning(f"{reference.name} is of {what} {theirs}, the run is of {mine}")
