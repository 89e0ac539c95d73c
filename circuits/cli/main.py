"""The group of all commands, each of which is imported when it is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module, metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from circuits.cli.errors import OneSentenceErrors
from circuits.cli.options import examples
from circuits.cli.terminal import out

DISTRIBUTION = "accelerated-path-patching"
_MODULES = {
    "discover": "discover",
    "grid": "grid",
    "study": "study",
    "seeds": "seeds",
    "batch": "batch",
    "evaluate": "evaluate",
    "compare": "compare",
    "roles": "roles",
    "report": "report",
    "references": "references",
    "export": "exchange",
    "import": "exchange",
    "submission": "submission",
    "tasks": "tasks",
    "models": "models",
    "bench": "bench",
}
"""Every command, and the module of `circuits.cli.commands` that has it in `COMMANDS`."""


class _Commands(Mapping[str, Any]):
    """Imported when they are asked for."""

    def __getitem__(self, name: str) -> Any:
        module = import_module(f"circuits.cli.commands.{_MODULES[name]}")
        return module.COMMANDS[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


COMMANDS: Mapping[str, Any] = _Commands()
"""Every command by name."""


class _LazyGroup(OneSentenceErrors, TyperGroup):
    """`circuits`: starts without importing what no command was asked for needs."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = COMMANDS  # type: ignore[assignment]


app = typer.Typer(
    name="circuits",
    cls=_LazyGroup,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)


def main() -> None:
    """Run the command line and exit."""
    app()


def _print_version(wanted: bool) -> bool:
    if wanted:
        out.print(f"circuits {metadata.version(DISTRIBUTION)} ({DISTRIBUTION})", soft_wrap=True)
        raise typer.Exit
    return wanted


@app.callback(
    epilog=examples("circuits tasks", "circuits discover ioi --out runs/ioi"),
)
def _start(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show results and errors alone.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and every library's warnings.")
    ] = False,
) -> None:
    """Find the attention heads, and the paths between them, that carry out a task.

    --quiet and --debug can stand anywhere on the line.
    """
