"""`circuits models`: the models known by name."""

from __future__ import annotations

from circuits.cli import options
from circuits.cli.as_json.listings import model
from circuits.cli.tables import listings
from circuits.cli.terminal import out, print_json
from circuits.model.catalogue import list_models


def models(json: options.Json = False) -> None:
    """List the models known by name, and say which others can be given."""
    if json:
        print_json([model(entry) for entry in list_models()])
    else:
        out.print(listings.models(list_models()))


COMMANDS = {
    "models": options.command(
        models, "models", "circuits models", "circuits discover ioi --model ./my-checkpoint"
    )
}
