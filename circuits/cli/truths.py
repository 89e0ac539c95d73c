"""`circuits bench truth`: every method on the models whose circuits are known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.console import Group, RenderableType
from rich.text import Text

from circuits.cli import tables
from circuits.cli.console import out, print_json, print_note
from circuits.cli.errors import usage_errors
from circuits.cli.progress import show_progress
from circuits.cli.saving import output_directory, uninterrupted
from circuits.cli.threads import use_threads
from circuits.truth import TruthRow, list_truths, run_truth, truth_record
from circuits.truth.bench import ROWS_FILE

_STAGE = "methods"


def bench_truth(
    models: Sequence[str] | None,
    directory: Path,
    seed: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Run what is not yet in `directory`, and print all of it."""
    names = tuple(models or list_truths())
    with usage_errors():
        for name in names:
            truth_record(name)
    use_threads(threads)
    with output_directory(directory):
        try:
            with show_progress((_STAGE,)) as progress:
                rows = run_truth(names, directory, seed=seed, tell=progress.note)
        except KeyboardInterrupt:
            with uninterrupted():
                print_note(f"{directory} keeps the rows that are done; the same command goes on")
            raise
    if as_json:
        print_json(TypeAdapter(list[TruthRow]).dump_python(rows, mode="json"))
    else:
        out.print(table(rows))
        out.print(Text.assemble("Rows are in ", (str(directory / ROWS_FILE), "bold")))


def table(rows: Sequence[TruthRow]) -> RenderableType:
    """A row for each method, models under each other; then what was missed."""
    parts: list[RenderableType] = []
    for model, group in groupby(rows, key=lambda row: row.model):
        of_model = list(group)
        lines = tables.plain_table(
            "method", ">precision", ">recall", ">AUC", ">heads", ">performance", "missed", "false"
        )
        for row in of_model:
            lines.add_row(*_cells(row))
        parts += tables.section(f"{model} ({_about(of_model[0])})", lines)
    return Group(*parts)


def _cells(row: TruthRow) -> tuple[str, ...]:
    false = row.found - row.true_heads
    return (
        row.method,
        "none found" if row.precision is None else f"{row.precision:.2f}",
        f"{row.recall:.2f}",
        f"{row.auc:.2f}",
        str(len(row.found)),
        f"{row.performance:.0f}%",
        _names(row.missed) + (" (pruned)" if row.missed and row.missed_by_pruning else ""),
        _names(false),
    )


def _about(row: TruthRow) -> str:
    heads = _names(row.true_heads)
    return f"{row.kind}; true heads {heads} keep {row.true_performance:.0f}%"


def _names(heads: Any) -> str:
    return " ".join(str(head) for head in sorted(heads))
