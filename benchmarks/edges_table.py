"""What `benchmarks.edges` measured, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from benchmarks.machine import names_of
from benchmarks.rivals_table import TESTS, Row, by_task
from benchmarks.tables import spread, table


def markdown(measured: Row) -> str:
    """For each task and method: the circuit that was chosen, MIB's areas, and what it took."""
    lines, shares = [], []
    for task, of_task in by_task(measured["rows"]).items():
        for number, (method, rows) in enumerate(by_method(of_task).items()):
            begins = (task if number == 0 else "", method)
            lines.append((*begins, *_cells(rows)))
            if "signed" in rows[0]:
                shares.append((*begins, *_at_shares(rows)))
    titles = (
        *("task", "method", "seeds", "edges", "nodes", "% held out", "reach 85 %"),
        *("CPR, signed", "CMD, absolute", "over log share: CPR", "CMD"),
        *("passes to find", "seconds", "GiB"),
    )
    ranked = next(row for row in measured["rows"].values() if "signed" in row)
    names = [f"{float(share):.1%}" for share in ranked["signed"]["faithfulness"]]
    return (
        f"{table(titles, lines, n_left=2)}\n\n{_source(measured)}\n\n"
        "Faithfulness on the held-out prompts of so many of the edges, by signed scores, as means "
        f"over seeds:\n\n{table(('task', 'method', *names), shares, n_left=2)}"
    )


def summary(measured: Row) -> str:
    """For each method: how many edges it takes on each task, and what these keep elsewhere."""
    tasks = {task: by_method(rows) for task, rows in by_task(measured["rows"]).items()}
    methods = dict.fromkeys(method for found in tasks.values() for method in found)
    lines = [
        (method, *(_short(found.get(method, [])) for found in tasks.values())) for method in methods
    ]
    return f"{table(('method', *tasks), lines)}\n\n{_source(measured)}"


def by_method(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of each method, in order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["method"], []).append(row)
    return found


def _cells(rows: Sequence[Row]) -> Iterator[str]:
    yield str(len(rows))
    yield spread([row["edges"] for row in rows], "{:.0f}")
    yield spread([row["nodes"] for row in rows], "{:.0f}")
    yield spread([row["held_out"][0] for row in rows], "{:.0f}")
    yield f"{fmean(row['reaches'] for row in rows):.0%}"
    yield from _areas(rows) if "signed" in rows[0] else ("",) * 4
    yield f"{fmean(_to_find(row) for row in rows):.0f}"
    yield f"{fmean(row['seconds'] for row in rows):.0f}"
    yield f"{max(row['peak_memory_bytes'] for row in rows) / 2**30:.1f}"


def _areas(rows: Sequence[Row]) -> Iterator[str]:
    yield f"{fmean(row['cpr'][0] for row in rows):.2f}"
    yield f"{fmean(row['cmd'][0] for row in rows):.2f}"
    yield f"{fmean(row['signed']['log_cpr'][0] for row in rows):.2f}"
    yield f"{fmean(row['absolute']['log_cmd'][0] for row in rows):.2f}"


def _at_shares(rows: Sequence[Row]) -> Iterator[str]:
    for share in rows[0]["signed"]["faithfulness"]:
        yield f"{fmean(row['signed']['faithfulness'][share] for row in rows):.2f}"


def _short(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    edges = fmean(row["edges"] for row in rows)
    short = "" if all(row["reaches"] for row in rows) else "*"
    return f"{edges:,.0f}: {fmean(row['held_out'][0] for row in rows):.0f} %{short}"


def _to_find(row: Row) -> float:
    return sum(passes for stage, passes in row["passes"].items() if stage not in TESTS)


def _source(measured: Row) -> str:
    rows = measured["rows"].values()
    machines = [row["machine"] for row in rows]
    commits = ", ".join(sorted({machine["commit"] for machine in machines}))
    return (
        f"{measured['model']}; means over seeds; 16 prompts to find on, 16 to choose by, 64 to "
        f"report on. {names_of(machines, 'card', 'processor')}, {machines[0]['threads']} threads, "
        f"torch {names_of(machines, 'torch')}. Written by `python -m benchmarks.edges` on commit "
        f"{commits}."
    )
