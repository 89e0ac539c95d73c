"""`circuits bench truth`: every method on the models whose circuits are known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from circuits.cli import options
from circuits.cli.errors import usage_errors
from circuits.cli.progress import show_progress
from circuits.cli.terminal import out, print_json, print_note

_STAGE = "methods"
RowsOut = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="DIRECTORY",
        help="Write the rows here as they come; the same command again goes on from there.",
        rich_help_panel="Output",
    ),
]
TruthModels = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="One of these models alone; may be repeated; default all of them.",
        rich_help_panel="Model",
    ),
]

app = typer.Typer(
    name="bench",
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    help="Measure the methods themselves.",
    context_settings=options.CONTEXT,
)


@app.callback(epilog=options.examples("circuits bench truth --out runs/truth"))
def _group() -> None:
    """Measure the methods themselves."""


@app.command(
    epilog=options.examples(
        "circuits bench truth --out runs/truth",
        "circuits bench truth --out runs/truth --model hand-ioi",
    ),
    context_settings=options.CONTEXT,
)
def truth(
    out_directory: RowsOut,
    model: TruthModels = None,
    seed: options.Seed = None,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Run every method on small models whose circuits are known by construction."""
    from circuits.truth.ground import list_truths, truth_record

    names = tuple(model or list_truths())
    with usage_errors():
        for name in names:
            truth_record(name)
    rows = _run(names, out_directory, seed or 0, threads)
    from circuits.cli.tables import truth as tables
    from circuits.truth.bench import ROWS_FILE, as_json

    if json:
        print_json(as_json(rows))
    else:
        out.print(tables.truth(rows))
        out.print(f"Rows are in {out_directory / ROWS_FILE}", soft_wrap=True, markup=False)


def _run(names: tuple[str, ...], directory: Path, seed: int, threads: int | None) -> Any:
    """What is not yet in the directory."""
    from circuits.cli.outputs import output_directory, uninterrupted
    from circuits.runtime.threads import use_threads
    from circuits.truth.bench import run_truth

    use_threads(threads)
    with output_directory(directory):
        try:
            with show_progress((_STAGE,)) as progress:
                return run_truth(names, directory, seed=seed, progress=progress.stage(_STAGE))
        except KeyboardInterrupt:
            with uninterrupted():
                print_note(f"{directory} keeps the rows that are done; the same command goes on")
            raise


COMMANDS = {"bench": get_command(app)}
