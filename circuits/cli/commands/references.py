"""`circuits references`: published circuits and ours."""

from __future__ import annotations

from typing import Annotated

import typer

from circuits.cli import options
from circuits.cli.as_json.listings import reference
from circuits.cli.errors import usage_errors
from circuits.cli.tables import references as tables
from circuits.cli.terminal import out, print_json
from circuits.references import list_references, load_reference


def references(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show this one.")] = None,
    json: options.Json = False,
) -> None:
    """List published circuits and ours, or show one with its roles and source."""
    with usage_errors():
        shown = [load_reference(one) for one in (list_references() if name is None else [name])]
    if json:
        print_json(shown[0].to_dict() if name else [reference(one) for one in shown])
    elif name:
        out.print(tables.reference(shown[0]))
    else:
        out.print(tables.references(shown))


COMMANDS = {
    "references": options.command(
        references, "references", "circuits references", "circuits references ioi-gpt2"
    )
}
