"""`circuits report`: runs as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from circuits.cli import options
from circuits.cli.errors import UsageError

_DEFAULT_NAME = "report.html"
_HEAD = 4096
Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...", help="Directories of runs, written by `circuits discover --out`."
    ),
]
ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="Write the page here; default RUN/report.html, where there is one RUN.",
        rich_help_panel="Output",
    ),
]


def report(runs: Runs, out: ReportFile = None) -> None:
    """Write runs, and how their circuits compare, as one HTML page that needs no network."""
    if out is None and len(runs) > 1:
        raise UsageError(
            f"{len(runs)} runs make a page of their own: say where, for example "
            "--out comparison.html"
        )
    path = runs[0] / _DEFAULT_NAME if out is None else out
    if out is None and path.exists() and not _is_ours(path):
        raise UsageError(f"{path} is no page of `circuits report`: say where, with --out FILE")
    if path.is_dir():
        raise UsageError(f"--out {path} is a directory: name a file in it, such as report.html")
    from rich.filesize import decimal
    from rich.text import Text

    from circuits.cli import terminal
    from circuits.cli.reproduce import command
    from circuits.report import write_report
    from circuits.runtime.files import is_written_into

    write_report(runs, path, command)
    if is_written_into(path):
        terminal.print_note(f"written to {path}")
        return
    size = decimal(path.stat().st_size)
    shown = Text.assemble("Written to ", (str(path), "bold"), f" ({size}): open it in a browser")
    terminal.out.print(shown, soft_wrap=True)


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return b'content="circuits report"' in file.read(_HEAD)


COMMANDS = {
    "report": options.command(
        report,
        "report",
        "circuits report runs/ioi",
        "circuits report runs/ioi runs/ioi-exact --out comparison.html",
    )
}
