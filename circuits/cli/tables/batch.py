"""The runs of a batch as a table, and as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from circuits.cli.tables import basics as tables
from circuits.studies import BatchResult, BatchRow


def batch(result: BatchResult) -> RenderableType:
    """One line for each run."""
    rows = tables.plain_table("model", "task", "method", ">seed", ">kept", ">heads", ">edges", "")
    for row in result.rows:
        is_found = row.state == "found"
        kept = "" if row.performance is None else f"{row.performance:.1f}%"
        heads, edges = (str(len(row.heads)), str(row.n_edges)) if is_found else ("", "")
        rows.add_row(
            row.model, row.task, row.method, str(row.seed), kept, heads, edges, _state(row)
        )
    return Group(*tables.section(f"{len(result.rows)} runs", rows))


def as_json(result: BatchResult) -> dict[str, Any]:
    """All rows, with the names of their columns."""
    return {
        "runs": [asdict(row) for row in result.rows],
        "failed": len(result.failed),
        "saved_to": str(result.directory),
    }


def _state(row: BatchRow) -> Text:
    return Text("") if row.state == "found" else Text(row.state, "bold yellow")
