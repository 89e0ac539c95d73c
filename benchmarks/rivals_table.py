"""What `benchmarks.rivals` measured, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from benchmarks.machine import names_of
from benchmarks.tables import spread, table

Row = Mapping[str, Any]
DEFAULT = "default"
TESTS = ("validation", "evaluation")
"""Stages that run circuits on prompts beside those of the search."""


def by_task(rows: Mapping[str, Row]) -> dict[str, list[Row]]:
    """Rows of each task, by rising seed."""
    found: dict[str, list[Row]] = {}
    for key in sorted(rows, key=lambda key: int(key.split()[1])):
        found.setdefault(key.split()[0], []).append(rows[key])
    return found


def markdown(measured: Row) -> str:
    """For each task and way: size, and what it keeps on held-out prompts."""
    rows: Mapping[str, Row] = measured["rows"]
    lines = []
    for task, of_task in by_task(rows).items():
        for way in dict.fromkeys(way for row in of_task for way in row["ways"]):
            ways = [row["ways"][way] for row in of_task if way in row["ways"]]
            lines.append((task if way == DEFAULT else "", way, *_cells(ways)))
    titles = (
        "task",
        "heads chosen by",
        "seeds",
        "heads",
        "% held out",
        "least",
        "reach 85 %",
    )
    kinds = ("machine", "machine_of_rivals")
    machines = [row[kind] for row in rows.values() for kind in kinds if kind in row]
    commits = ", ".join(sorted({machine["commit"] for machine in machines}))
    return (
        f"{table(titles, lines, n_left=2)}\n\n"
        "Mean ± SD over seeds; 16 prompts to find on, 16 to choose by, 64 to report on. "
        f"{names_of(machines, 'card', 'processor')}, torch {names_of(machines, 'torch')}, "
        f"commit {commits}.\n\n"
        f"Where the default's forward passes go, as means over seeds:\n\n{stages(rows)}"
    )


def stages(rows: Mapping[str, Row]) -> str:
    """Forward passes of every stage of the default, over the prompts of the search."""
    lines, names = [], list(next(iter(rows.values()))["passes"])
    searches = [name for name in names if name not in TESTS]
    for task, of_task in by_task(rows).items():
        passes = {name: fmean(row["passes"][name] for row in of_task) for name in names}
        search = sum(passes[name] for name in searches)
        edges = fmean(row["edges"] for row in of_task)
        figures = (*(passes[name] for name in searches), search, *(passes[name] for name in TESTS))
        lines.append((task, *(f"{figure:.1f}" for figure in figures), f"{edges:.0f}"))
    return table(("task", *searches, "search, in all", *TESTS, "edges"), lines)


def _cells(ways: list[Row]) -> tuple[str, ...]:
    held_out = [way["held_out"][0] for way in ways]
    reached = fmean(way["reaches"] for way in ways)
    return (
        str(len(ways)),
        spread([len(way["heads"]) for way in ways], "{:.1f}"),
        spread(held_out, "{:.0f}"),
        f"{min(held_out):.0f}",
        f"{reached:.0%}",
    )
