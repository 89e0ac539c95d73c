"""The `report` command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.filesize import decimal
from rich.text import Text

from circuits.cli.commands import command
from circuits.cli.console import out
from circuits.cli.errors import UsageError
from circuits.report import write_report

_DEFAULT_NAME = "report.html"


def report(runs: Sequence[Path], output: Path | None) -> None:
    """Write the page and say where it is."""
    if output is None and len(runs) > 1:
        raise UsageError(
            f"{len(runs)} runs make a page of their own: say where, for example "
            "--output comparison.html"
        )
    path = runs[0] / _DEFAULT_NAME if output is None else output
    if path.is_dir():
        raise UsageError(f"--output {path} is a directory: name a file in it, such as report.html")
    write_report(runs, path, command)
    size = decimal(path.stat().st_size)
    shown = Text.assemble("Written to ", (str(path), "bold"), f" ({size}): open it in a browser")
    out.print(shown, soft_wrap=True)
