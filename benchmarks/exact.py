"""The circuits that exact path patching finds: what every faster way is measured against.

python -m benchmarks.exact ioi:16 docstring:2

Searches all heads with the default selection rule and the exact engine, TASK:PROMPTS for each, and
keeps every effect under benchmarks/results/exact/TASK as soon as it is known: interrupted or run
again, it goes on from there. Takes an hour or more for a task on two cores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from circuits import Discovery, discover_circuit, load_model
from circuits.discovery.record import CIRCUIT_FILE
from circuits.model import DEFAULT_MODEL

RESULTS = Path(__file__).parent / "results" / "exact"
"""Prompts are few where sixteen would take hours."""


def references(root: Path = RESULTS) -> dict[str, Discovery]:
    """The finished exact searches by task."""
    found = {path.parent.name: path.parent for path in sorted(root.glob(f"*/{CIRCUIT_FILE}"))}
    return {task: Discovery.load(directory) for task, directory in found.items()}


def main(
    searches: Annotated[list[str], typer.Argument(metavar="TASK:PROMPTS")],
    model: str = DEFAULT_MODEL,
    out: Path = RESULTS,
) -> None:
    """Run or finish the searches, one after the other."""
    progress, bridge = Console(stderr=True), load_model(model)
    for search in searches:
        task, _, count = search.partition(":")
        progress.print(f"{task}, {count} prompts ...")
        found = discover_circuit(
            bridge,
            task,
            method="path-patching",
            engine="exact",
            n_prompts=int(count),
            directory=out / task,
        )
        found.save(out / task)
        progress.print(
            f"{task}: {len(found.circuit)} heads, {len(found.circuit.edges)} edges, "
            f"performance {found.performance:.1f} %"
        )


if __name__ == "__main__":
    typer.run(main)
