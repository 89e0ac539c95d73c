"""`circuits bench truth`: every method on the models whose circuits are known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from circuits.cli import tables
from circuits.cli.console import out, print_json, print_note
from circuits.cli.errors import usage_errors
from circuits.cli.progress import show_progress
from circuits.cli.saving import output_directory, uninterrupted
from circuits.runtime.threads import use_threads
from circuits.truth import TruthRow, list_truths, run_truth, truth_record
from circuits.truth.bench import ROWS_FILE
from circuits.truth.bench import as_json as rows_as_json
from circuits.truth.methods import by_default_rules

_STAGE = "methods"
_LEGEND = (
    "keeps: performance of the found heads alone; paths: precision and recall of the found paths, "
    "where the true ones are known; default: by the rules for models of hundreds of heads"
)


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
                rows = run_truth(names, directory, seed=seed, progress=progress.stage(_STAGE))
        except KeyboardInterrupt:
            with uninterrupted():
                print_note(f"{directory} keeps the rows that are done; the same command goes on")
            raise
    if as_json:
        print_json(rows_as_json(rows))
    else:
        out.print(table(rows))
        out.print(Text.assemble("Rows are in ", (str(directory / ROWS_FILE), "bold")))


def table(rows: Sequence[TruthRow]) -> RenderableType:
    """A row for each method, models under each other; then why searches of paths went wrong."""
    parts: list[RenderableType] = []
    for _, group in groupby(rows, key=lambda row: row.model):
        of_model = list(group)
        lines = tables.plain_table(
            "method", ">precision", ">recall", ">AUC", ">heads", ">keeps", ">paths"
        )
        for row in of_model:
            lines.add_row(*_cells(row))
        notes = [
            Text(f"{row.method}: {why}", "dim")
            for row in of_model
            for why in row.reasons
            if row.method not in by_default_rules()
        ]
        parts += tables.section(_title(of_model[0]), Group(lines, *notes))
    return Group(*parts, Text(_LEGEND, "dim"))


def _cells(row: TruthRow) -> tuple[str, ...]:
    return (
        row.method,
        share(row.precision),
        share(row.recall),
        share(row.auc),
        f"{len(row.found)}",
        f"{row.performance:.0f}%",
        f"{share(row.paths.precision)} {share(row.paths.recall)}" if row.paths else "",
    )


def share(figure: float | None) -> str:
    """A precision or the like; there is no precision where nothing was found."""
    return "none" if figure is None else f"{figure:.2f}"


def _title(row: TruthRow) -> str:
    heads = " ".join(str(head) for head in sorted(row.true_heads))
    return f"{row.model} ({row.kind}; true heads {heads} keep {row.true_performance:.0f}%)"
