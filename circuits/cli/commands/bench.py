"""`circuits bench truth`: every method on the models whose circuits are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from typer.main import get_command

from circuits.cli import options
from circuits.cli.errors import UsageError, usage_errors
from circuits.cli.progress import show_progress
from circuits.cli.terminal import out, print_json
from circuits.cli.worker_options import Executor, WorkerCount, asked_workers
from circuits.graph import Mlps
from circuits.runtime.threads import use_threads

if TYPE_CHECKING:
    from circuits.runtime.workers import Workers
    from circuits.truth import TruthRow

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

TruthMlps = Annotated[
    str,
    typer.Option(
        metavar="MLPS",
        help="path: methods that find heads and the paths between them; nodes: those that find "
        "direct edges among MLPs, heads and the embedding.",
        rich_help_panel="Model",
    ),
]

app = options.group(
    "bench",
    "Measure the methods themselves.",
    "circuits bench truth --out runs/truth",
    # Without a callback typer makes the only command of a group the group itself.
    callback=lambda: None,
)


@options.subcommand(
    app,
    "circuits bench truth --out runs/truth",
    "circuits bench truth --out runs/truth --model hand-ioi",
    "circuits bench truth --out runs/truth --workers 2",
    "circuits bench truth --out runs/truth-nodes --mlps nodes",
)
def truth(
    out_directory: RowsOut,
    model: TruthModels = None,
    mlps: TruthMlps = "path",
    seed: options.Seed = None,
    executor: Executor = None,
    workers: WorkerCount = None,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Run every method on small models whose circuits are known by construction."""
    from circuits.truth.ground import list_truths, truth_record

    names = tuple(model or list_truths())
    with usage_errors():
        for name in names:
            truth_record(name)
        if mlps not in get_args(Mlps):
            raise UsageError(f"--mlps must be one of {', '.join(get_args(Mlps))}, got {mlps!r}")
        chosen = asked_workers(executor, workers, threads)
    use_threads(threads)
    rows = _run(names, out_directory, seed or 0, chosen, mlps)
    from circuits.cli.tables import truth as tables
    from circuits.truth.bench import ROWS_FILE, as_json

    if json:
        print_json(as_json(rows))
    else:
        out.print(tables.truth(rows))
        out.print(f"Rows are in {out_directory / ROWS_FILE}", soft_wrap=True)


def _run(
    names: tuple[str, ...], directory: Path, seed: int, workers: Workers | None, mlps: str
) -> list[TruthRow]:
    """What is not yet in the directory."""
    from circuits.cli.outputs import going_on, output_directory
    from circuits.truth.bench import JOURNAL_FILE, run_truth
    from circuits.truth.methods import contestants, edge_contestants

    keeps_rows = going_on(directory, lambda directory: (directory / JOURNAL_FILE).is_file())
    with output_directory(directory), keeps_rows, show_progress((_STAGE,)) as progress:
        part = progress.stage(_STAGE)
        methods = edge_contestants() if mlps == "nodes" else contestants()
        return run_truth(
            names, directory, methods=methods, seed=seed, progress=part, workers=workers
        )


COMMANDS = {"bench": get_command(app)}
