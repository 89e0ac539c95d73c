"""Commands that are killed, starved and fed with bad input: how often, and that nothing gave way.

python -m benchmarks.faults [--write] [--fast]

Runs the tests of `tests/faults`, all that they can do and not the share of `make test` (`--fast`),
and keeps their counts. Where one of them fails there are no figures.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.machine import describe_machine
from benchmarks.publish import Write, publish
from benchmarks.tables import table

RESULTS = Path(__file__).parent / "results" / "faults.json"
_TESTS = "tests/faults"
Fast = Annotated[bool, typer.Option("--fast", help="Only the share that `make test` runs.")]


def markdown(measured: dict[str, Any]) -> str:
    """What was done how often."""
    rows = [(name, f"{number:,}") for name, number in sorted(measured["counts"].items())]
    share = "everything" if measured["whole"] else "the share that `make test` runs"
    command = "python -m benchmarks.faults" + ("" if measured["whole"] else " --fast")
    minutes, commit = measured["seconds"] / 60, measured["machine"]["commit"]
    return (
        f"{table(('what was done', 'times'), rows)}\n\n"
        f"That is {share}, in {minutes:.0f} minutes; not once a traceback, a hang, a file outside "
        "the output, code of a file run, a control character on the terminal, or bad input called "
        f"a defect. Written by `{command}` on commit {commit}."
    )


def main(fast: Fast = False, out: Path = RESULTS, write: Write = False) -> None:
    """Run the tests, and write their counts as JSON and as a table."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        counts = Path(directory) / "counts.json"
        options = [f"--write-counts={counts}", "--dist=load", *([] if fast else ["--every-fault"])]
        command = [sys.executable, "-m", "pytest", _TESTS, *options]
        if subprocess.run(command, cwd=RESULTS.parents[2], check=False).returncode:
            raise typer.Exit(1)
        counted = json.loads(counts.read_text())
    measured = {
        "machine": describe_machine(),
        "whole": not fast,
        "seconds": round(time.monotonic() - began),
        "counts": counted,
    }
    publish(measured, out, markdown(measured), "faults table" if write else None)


if __name__ == "__main__":
    typer.run(main)
