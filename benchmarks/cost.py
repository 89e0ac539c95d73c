"""Path patching four ways, side by side: what each costs, and whether it finds the same circuit.

python -m benchmarks.cost [--task ioi] [--write-readme]

Naive and exact path patching over all heads, the upward sweep, and the sweep verified; the same for
APP, and the published grid. Figures go to benchmarks/results/cost.json as soon as a task is done;
those of other tasks stay. Agreement is with the exact searches of benchmarks.exact, on their
prompts.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.agreement import agreement
from benchmarks.cost_report import markdown
from benchmarks.exact import references
from benchmarks.machine import describe_machine
from benchmarks.path_costs import distinct, every_receiver, exact_flops, naive_passes
from benchmarks.publish import publish
from circuits import Discovery, SelectionRule, discover_circuit, discover_grid, load_model
from circuits.config import DiscoveryConfig, Method
from circuits.grid import PUBLISHED_MIN_EFFECTS, PUBLISHED_THRESHOLDS
from circuits.model import DEFAULT_MODEL, LayeredModel, TransformerBridge
from circuits.verification import receivers_of
from tasks import list_tasks

RESULTS = Path(__file__).parent / "results" / "cost.json"
METHODS: tuple[Method, ...] = ("path-patching", "app")
WIDEST = SelectionRule(threshold=min(PUBLISHED_THRESHOLDS), min_effect=min(PUBLISHED_MIN_EFFECTS))
Say = Callable[[str], None]


def measure_task(bridge: TransformerBridge, task: str, n_prompts: int, say: Say) -> dict[str, Any]:
    """Every way of searching one task's circuit."""
    searches: dict[str, Any] = {}
    verified_by: dict[Method, Discovery] = {}
    for method in METHODS:
        say(f"{task}: {method} ...")
        swept, verified = search_twice(bridge, task, method, n_prompts)
        verified_by[method] = verified
        searches[method] = {"swept": row_of(swept), "verified": row_of(verified)}
        searches[method]["verified"]["flops"] = (
            swept.cost.flops + verified.cost.of("patching").flops
        )
        searches[method]["verified"]["seconds"] = (
            swept.cost.seconds + verified.cost.of("patching").seconds
        )
    dense = verified_by["path-patching"]
    model, pairs = LayeredModel.of(bridge), dense.evaluator.pairs  # type: ignore[union-attr]
    reached = distinct(model, receivers_of(dense.circuit))
    say(f"{task}: the cost of exact paths ...")
    return {
        "n_prompts": n_prompts,
        "n_tokens": int(pairs.end.max()) + 1,
        "forward_pass_flops": dense.cost.forward_pass_flops,
        "naive_passes": naive_passes(model, reached),
        "naive_passes_all_receivers": naive_passes(model, every_receiver(model)),
        "exact_flops": exact_flops(model, pairs, reached),
        "searches": searches,
    }


def search_twice(
    bridge: TransformerBridge, task: str, method: Method, n_prompts: int
) -> tuple[Discovery, Discovery]:
    """Without and with verification; the second takes the first one's sweep and prunings."""
    with tempfile.TemporaryDirectory() as directory:
        first, second = (
            discover_circuit(
                bridge,
                task,
                method=method,
                n_prompts=n_prompts,
                verify=verify,
                directory=directory,
            )
            for verify in (False, True)
        )
    return first, second


def row_of(found: Discovery) -> dict[str, Any]:
    """The figures of one search."""
    return {
        "candidates": len(found.candidates),
        "heads": len(found.circuit),
        "edges": len(found.circuit.edges),
        "performance": found.performance,
        "flops": found.cost.flops,
        "stages": {stage.stage: stage.flops for stage in found.cost.stages},
        "seconds": found.cost.seconds,
        "peak_memory_bytes": found.cost.peak_memory_bytes,
        "verification": None if found.verification is None else asdict(found.verification),
    }


def measure_grid(bridge: TransformerBridge, task: str, n_prompts: int, say: Say) -> dict[str, Any]:
    """The published grid against one run of its widest rule, evaluation of the circuits aside."""
    say(f"{task}: the widest rule of the grid ...")
    config = DiscoveryConfig(n_prompts=n_prompts)
    widest = discover_circuit(bridge, task, n_prompts=n_prompts, selection=WIDEST)
    say(f"{task}: the grid ...")
    grid = discover_grid(bridge, task, config=config)
    costs = [found.cost.flops - found.cost.of("evaluation").flops for found in (widest, grid)]
    return {
        "widest_flops": costs[0],
        "grid_flops": costs[1],
        "evaluation_flops": grid.cost.of("evaluation").flops,
        "seconds": grid.cost.seconds,
        "points": [
            {
                "threshold": point.selection.threshold,
                "min_effect": point.selection.min_effect,
                "heads": len(point.circuit),
                "performance": point.performance,
                "pareto": point in grid.pareto,
                "chosen": point == grid.chosen,
            }
            for point in grid.points
        ],
    }


def main(
    task: Annotated[list[str] | None, typer.Option(help="A task to measure; all without.")] = None,
    model: str = DEFAULT_MODEL,
    n_prompts: int = 16,
    grids: Annotated[bool, typer.Option(help="Measure the grid too.")] = True,
    out: Path = RESULTS,
    write_into_readme: Annotated[bool, typer.Option("--write-readme")] = False,
) -> None:
    """Measure some tasks or all, and write the figures as JSON and as a table."""
    say, bridge, exact = Console(stderr=True).print, load_model(model), references()
    measured: dict[str, Any] = json.loads(out.read_text()) if out.is_file() else {"tasks": {}}
    for name in task or list_tasks():
        found = measure_task(bridge, name, n_prompts, say)
        if grids:
            found["grid"] = measure_grid(bridge, name, n_prompts, say)
        if name in exact:
            say(f"{name}: agreement with the exact search ...")
            found["agreement"] = agreement(bridge, exact[name])
        found["machine"] = describe_machine()
        measured = {**measured, "model": model, "tasks": {**measured["tasks"], name: found}}
        publish(measured, out, "", None)
    table = markdown(measured)
    publish(measured, out, table, "cost table" if write_into_readme else None)


if __name__ == "__main__":
    typer.run(main)
