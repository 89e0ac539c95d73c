"""Table 2 of the paper (arXiv:2511.05442): our figures beside the published ones.

python -m benchmarks.reproduce_paper [--model gpt2 --model gpt2-large] [--task ioi] [--n-prompts 64]

For each model of the paper that can be loaded: the dense path-patching grid, FLAP, Contrastive-FLAP
and both merged, on each task, with recall and precision against the dense circuit. SmolLM2 is
measured against the exact references that are shipped of it (circuits references), for the tasks
that have one. A model that cannot be loaded is one line on standard error.

Every finished search is kept under --directory, and a begun one goes on from there. Rows go to
--out as soon as a task is done, beside those of other models and tasks.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.machine import describe_machine
from benchmarks.paper_rows import TABLE, Laboratory, Row, as_json, markdown, task_rows
from benchmarks.publish import kept, publish
from circuits import Reference, list_references, load_model, load_reference
from circuits.errors import ModelError
from circuits.model import DEFAULT_MODEL, ModelIdentity, identify
from circuits.runtime.files import write_atomically
from circuits.tasks import get_task, list_tasks

RESULTS = Path(__file__).parent / "results" / "paper.json"
KEPT = Path("runs/paper")
MODELS = ("gpt2", DEFAULT_MODEL)


def our_reference(model: ModelIdentity, task: str) -> Reference | None:
    """The exact dense circuit that is shipped of these very weights on a task."""
    for reference in map(load_reference, list_references()):
        if reference.made_with is None or reference.task != task:
            continue
        if reference.made_with["provenance"]["model"]["weight_hash"] == model.weight_hash:
            return reference
    return None


def read_rows(path: Path) -> dict[tuple[str, str, str], Row]:
    """The rows that were written before, by model, task and method."""
    written = kept(path).get("rows", [])
    rows = [Row(**{k: v for k, v in row.items() if k != "published"}) for row in written]
    return {row.key: row for row in rows}


def record_of(rows: dict[tuple[str, str, str], Row]) -> dict[str, Any]:
    """All rows beside the published ones, and where they were measured."""
    return {
        "published": json.loads(TABLE.read_text())["source"],
        "machine": describe_machine(),
        "rows": [as_json(row) for row in rows.values()],
    }


def main(
    model: Annotated[list[str] | None, typer.Option(help="gpt2 and SmolLM2 without.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="All without.")] = None,
    n_prompts: int = 64,
    seed: int = 0,
    directory: Path = KEPT,
    out: Path = RESULTS,
) -> None:
    """Run what can be run, and write it beside what was published."""
    say = Console(stderr=True, soft_wrap=True).print
    tasks = [get_task(name).name for name in task or list_tasks()]
    rows = read_rows(out)
    for name in model or MODELS:
        try:
            bridge = load_model(name)
        except ModelError as error:
            say(f"{name}: its rows are left out, it cannot be loaded ({error})")
            continue
        laboratory = Laboratory(name, bridge, n_prompts, seed, directory)
        for one in tasks:
            ours = our_reference(identify(bridge), one)
            if name == DEFAULT_MODEL and ours is None:
                say(f"{name}, {one}: left out, no exact reference of it is shipped yet")
                continue
            rows |= {row.key: row for row in task_rows(laboratory, one, ours, say)}
            out.parent.mkdir(parents=True, exist_ok=True)
            write_atomically({out: json.dumps(record_of(rows), indent=1).encode()})
    if rows:
        publish(record_of(rows), out, markdown(list(rows.values())), None)


if __name__ == "__main__":
    typer.run(main)
