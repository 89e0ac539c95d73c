"""`circuits batch`: models × tasks × methods × seeds from one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from circuits.cli import options
from circuits.cli.errors import UsageError, usage_errors
from circuits.cli.options import command
from circuits.cli.progress import show_progress
from circuits.cli.terminal import out, print_json
from circuits.cli.worker_options import Executor, WorkerCount, WorkerThreads, workers_of
from circuits.errors import FailedRunsError, OverwriteError, ResumeError

BatchFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="A TOML file: lists of tasks, models, methods and seeds, and a table of settings.",
    ),
]
BatchOut = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="DIRECTORY",
        help="Save every run here, and all of them as rows of table.parquet; the same command "
        "again goes on from there.",
        rich_help_panel="Output",
    ),
]
BatchResume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Refuse to run unless --out holds a begun batch.",
        rich_help_panel="Output",
    ),
]


def batch(
    file: BatchFile,
    out_directory: BatchOut,
    executor: Executor = None,
    workers: WorkerCount = None,
    threads: WorkerThreads = None,
    resume: BatchResume = False,
    json: options.Json = False,
) -> None:
    """Run every model on every task by every method with every seed, on many workers.

    A run that fails stops no other; the same command again tries it once more.
    """
    from circuits.cli.outputs import going_on, output_directory
    from circuits.studies.batch import BATCH_STAGES, run_batch
    from circuits.studies.batch_file import read_batch
    from circuits.studies.batch_table import TABLE_FILE, is_batch_begun

    with usage_errors():
        asked = read_batch(file)
        chosen = workers_of(executor, workers, threads, asked.options)
        asked.runs()
    kept = going_on(out_directory, is_batch_begun)
    chosen.check()
    with output_directory(out_directory), kept, show_progress(BATCH_STAGES) as progress:
        try:
            result = run_batch(
                asked, out_directory, workers=chosen, resume=resume, progress=progress
            )
        except (OverwriteError, ResumeError) as error:
            raise UsageError(str(error)) from error
    from circuits.cli.tables.batch import as_json
    from circuits.cli.tables.batch import batch as table

    if json:
        print_json(as_json(result))
    else:
        out.print(table(result))
        out.print(f"Rows are in {out_directory / TABLE_FILE}", soft_wrap=True, markup=False)
    if result.failed:
        first = result.failed[0]
        raise FailedRunsError(
            f"{len(result.failed)} of {len(result.rows)} runs failed, {first.name} for one "
            f"({first.error}): the same command again tries them once more"
        )


COMMANDS = {
    "batch": command(
        batch,
        "batch",
        "circuits batch study.toml --out runs/study",
        "circuits batch study.toml --out runs/study --executor ray --workers 8 --resume",
        "circuits batch study.toml --out runs/study --executor slurm",
    )
}
