"""The seeds of one study by two workers and by one, on the same cores.

Both begin with nothing known and end with the same figures, which is checked. Each worker has one
thread. What a worker takes to start (imports, loading the model) is part of the time.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.machine import describe_machine
from benchmarks.publish import ROOT, Write, publish
from benchmarks.tables import table
from circuits import DiscoveryConfig, load_model
from circuits.model import DEFAULT_MODEL
from circuits.runtime.workers import Workers
from circuits.studies import discover_seeds

RESULTS = ROOT / "benchmarks" / "results" / "executors.json"
Row = dict[str, Any]


def measure(
    model: str, task: str, seeds: int, counts: list[int], executor: str, n_prompts: int
) -> list[Row]:
    """Seconds of the whole study for each number of workers.

    Raises ValueError where figures differ.
    """
    bridge, config = load_model(model), DiscoveryConfig(n_prompts=n_prompts)
    rows: list[Row] = []
    for count in counts:
        place = Path(tempfile.mkdtemp(prefix="executors-"))
        started = time.perf_counter()
        study = discover_seeds(
            bridge,
            task,
            seeds=seeds,
            config=config,
            directory=place,
            workers=Workers(executor, count),
        )
        seconds = time.perf_counter() - started
        shutil.rmtree(place)
        inside = sum(run.found.cost.seconds for run in study.runs)
        figures = [run.figures for run in study.runs]
        rows.append({"workers": count, "seconds": seconds, "inside": inside, "figures": figures})
    if any(row["figures"] != rows[0]["figures"] for row in rows):
        raise ValueError("the numbers of workers gave different figures")
    return rows


def markdown(measured: Row) -> str:
    """One row for each number of workers."""
    first = measured["rows"][0]
    lines = [
        [
            row["workers"],
            f"{row['seconds']:.0f}",
            f"{row['inside']:.0f}",
            f"{first['seconds'] / row['seconds']:.2f}",
        ]
        for row in measured["rows"]
    ]
    titles = ("workers", "seconds", "in all runs together", "times as fast")
    machine = measured["machine"]
    return (
        f"{table(titles, lines)}\n\n{measured['model']}, {measured['task']}, {measured['seeds']} "
        f"seeds of {measured['n_prompts']} prompts, executor {measured['executor']}, one thread "
        f"for each worker, {machine['cores']} cores ({machine['processor']}); every figure was the "
        f"same to the last bit. Commit {machine['commit']}."
    )


def main(
    task: str = "ioi",
    model: str = DEFAULT_MODEL,
    seeds: int = 10,
    n_prompts: int = 16,
    executor: str = "processes",
    workers: Annotated[list[int] | None, typer.Option(help="A number of workers.")] = None,
    out: Path = RESULTS,
    write: Write = False,
) -> None:
    """Measure, and write the figures as JSON and as a table."""
    about = {
        "model": model,
        "task": task,
        "seeds": seeds,
        "n_prompts": n_prompts,
        "executor": executor,
    }
    rows = measure(model, task, seeds, workers or [1, 2], executor, n_prompts)
    measured = {**about, "machine": describe_machine(), "rows": rows}
    publish(measured, out, markdown(measured), "executors table" if write else None)


if __name__ == "__main__":
    typer.run(main)
