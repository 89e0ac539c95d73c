"""Discover each task's circuit on one model and tabulate what it cost and what it keeps.

python -m benchmarks.discovery [--write]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from benchmarks.machine import describe_machine
from benchmarks.publish import Write, publish
from benchmarks.rivals_table import TESTS
from benchmarks.tables import table
from circuits import Discovery, discover_circuit, load_model
from circuits.model import DEFAULT_MODEL
from circuits.tasks import list_tasks

RESULTS = Path(__file__).parent / "results" / "discovery.json"


@dataclass(frozen=True)
class Column:
    """One column of the table: its title, and how a row's figure is written."""

    title: str
    key: str
    form: str = "{}"


COLUMNS = (
    Column("task", "task"),
    Column("accuracy", "accuracy", "{:.0%}"),
    Column("clean / corrupted logit diff", "metrics"),
    Column("heads", "heads"),
    Column("edges", "edges"),
    Column("sparsity", "sparsity", "{:.1%}"),
    Column("performance, held out", "kept"),
    Column("on the search's prompts", "on_search"),
    Column("forward passes: search + tests", "passes"),
    Column("seconds", "seconds", "{:.0f}"),
)


def row_of(found: Discovery) -> dict[str, Any]:
    """Every figure of one discovery."""
    per_pass = found.cost.forward_pass_flops
    point = None if found.sizes is None else found.sizes.point
    return {
        "task": found.provenance.task,
        "n_prompts": found.config.n_prompts,
        "seed": found.config.seed,
        "accuracy": found.behaviour.accuracy,
        "top_1": found.behaviour.top_1,
        "clean_metric": found.behaviour.clean_metric,
        "corrupted_metric": found.behaviour.corrupted_metric,
        "heads": len(found.circuit.heads),
        "edges": len(found.circuit.edges),
        "sparsity": found.circuit.sparsity,
        "performance": found.performance,
        "interval": None
        if point is None or point.held_out is None
        else [point.held_out.low, point.held_out.high],
        "on_search": found.performance if point is None else point.search.value,
        "forward_pass_flops": per_pass,
        "flops": {stage.stage: stage.flops for stage in found.cost.stages},
        "forward_passes": {stage.stage: stage.flops / per_pass for stage in found.cost.stages},
        "seconds": found.cost.seconds,
        "peak_memory_bytes": found.cost.peak_memory_bytes,
    }


def markdown(measured: dict[str, Any]) -> str:
    """The table, and the line that says where its figures come from."""
    rows = []
    for row in measured["rows"]:
        tests = sum(row["forward_passes"].get(stage, 0.0) for stage in TESTS)
        whole = sum(row["forward_passes"].values())
        ends = "" if row["interval"] is None else " [{:.0f}, {:.0f}]".format(*row["interval"])
        shown = row | {
            "metrics": f"{row['clean_metric']:.2f} / {row['corrupted_metric']:.2f}",
            "kept": "" if row["interval"] is None else f"{row['performance']:.0f} %{ends}",
            "on_search": f"{row['on_search']:.0f} %",
            "passes": f"{whole - tests:.0f} + {tests:.0f}",
        }
        rows.append([column.form.format(shown[column.key]) for column in COLUMNS])
    machine, first = measured["machine"], measured["rows"][0]
    memory = max(row["peak_memory_bytes"] for row in measured["rows"]) / 2**30
    return (
        f"{table([column.title for column in COLUMNS], rows)}\n\n"
        f"{measured['model']}, method `{measured['method']}`, {first['n_prompts']} prompts, "
        f"seed {first['seed']}; {machine['processor']}, {machine['threads']} threads, "
        f"torch {machine['torch']}, transformer-lens {machine['transformer-lens']}; "
        f"peak memory {memory:.1f} GiB. Written by `make bench` on commit {machine['commit']}."
    )


def main(
    model: str = DEFAULT_MODEL,
    method: str = "in-context",
    n_prompts: int = 16,
    seed: int = 0,
    out: Path = RESULTS,
    write: Write = False,
) -> None:
    """Measure all tasks and write the figures as JSON; the table goes to standard output."""
    progress = Console(stderr=True)
    bridge = load_model(model)
    rows = []
    for task in list_tasks():
        progress.print(f"discovering {task} ...")
        found = discover_circuit(bridge, task, method=method, n_prompts=n_prompts, seed=seed)
        rows.append(row_of(found))
    measured = {"model": model, "method": method, "machine": describe_machine(), "rows": rows}
    publish(measured, out, markdown(measured), "discovery table" if write else None)


if __name__ == "__main__":
    typer.run(main)
