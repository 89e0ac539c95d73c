"""Path patching side by side: what each way costs, and whether it finds the same circuit.

python -m benchmarks.cost [--task ioi] [--part grid] [--write]

Naive and exact path patching over all heads, the upward sweep, and the sweep verified; the same for
APP, and the published grid. Figures go to benchmarks/results/cost.json as soon as they are known;
those of other tasks stay. Agreement is with the exact searches of benchmarks.exact, on as many
prompts as those had.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer
from rich.console import Console

from benchmarks.agreement import agreement
from benchmarks.cost_report import markdown
from benchmarks.exact import references
from benchmarks.machine import describe_machine
from benchmarks.path_costs import distinct, exact_flops, naive_passes
from benchmarks.publish import Write, kept, publish
from benchmarks.searches import Searches, grid_row, row_of
from circuits import Discovery, load_model
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.origin import sample_pairs
from circuits.forward import LayeredModel, TransformerBridge
from circuits.model import DEFAULT_MODEL
from circuits.runtime.progress import Note
from circuits.search.grow import receivers_of
from circuits.tasks import Task, get_task, list_tasks

RESULTS = Path(__file__).parent / "results" / "cost.json"
METHODS = ("path-patching", "app")
Part = Literal["searches", "agreement", "grid"]
"""What is measured of a task: what searches cost, agreement with the exact search, the grid."""
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class Prompts:
    """How many prompts searches are compared on, and the grid is run on."""

    searches: int = 16
    grid: int = 2


def measure_task(
    bridge: TransformerBridge,
    task: Task,
    config: DiscoveryConfig,
    prompts: Prompts,
    exact: Discovery | None,
    say: Note,
    parts: Collection[Part] = PARTS,
) -> Iterator[dict[str, Any]]:
    """Every way of searching one task's circuit, and what they agree on; a part at a time."""
    with ExitStack() as stack:

        @cache
        def searches(method: str, n_prompts: int) -> Searches:
            say(f"{task.name}: {method}, {n_prompts} prompts ...")
            own = replace(config, method=method, n_prompts=n_prompts)
            return stack.enter_context(Searches.begun(bridge, task, own))

        if "searches" in parts:
            dense, app = (searches(method, prompts.searches) for method in METHODS)
            say(f"{task.name}: verification ...")
            yield {
                "n_prompts": prompts.searches,
                "dense": side_by_side(dense),
                "app": side_by_side(app),
                **unpruned_costs(bridge, dense),
                "machine": describe_machine(),
            }
        if exact is not None and "agreement" in parts:
            unpruned, pruned = (searches(method, exact.config.n_prompts) for method in METHODS)
            yield {"agreement": agreement(unpruned, pruned, exact)}
        if "grid" in parts:
            searched = searches("app", prompts.grid)
            say(f"{task.name}: the grid ...")
            yield {"grid": grid_row(searched)}


def side_by_side(searches: Searches) -> dict[str, Any]:
    """A search without and with verification."""
    verified = searches.verified
    return {
        "swept": row_of(searches.swept, searches.profile()),
        "verified": row_of(verified, searches.profile(verified.cost)),
    }


def unpruned_costs(bridge: TransformerBridge, dense: Searches) -> dict[str, Any]:
    """What naive and exact path patching would cost over the receivers that a search reached."""
    model = LayeredModel.of(bridge)
    pairs, _ = sample_pairs(bridge, dense.task, dense.config)
    graph = model.graph()
    reached = distinct(graph, receivers_of(dense.verified.circuit, graph))
    return {
        "n_tokens": int(pairs.end.max()) + 1,
        "forward_pass_flops": dense.swept.cost.forward_pass_flops,
        "receivers": len(reached),
        "naive_passes": naive_passes(graph, reached),
        "naive_passes_all_receivers": naive_passes(graph, graph.receivers),
        "exact_flops": exact_flops(model, pairs, reached),
    }


def main(
    task: Annotated[list[str] | None, typer.Option(help="A task to measure; all without.")] = None,
    part: Annotated[
        Part | None, typer.Option(help="What to measure of it; everything without.")
    ] = None,
    model: str = DEFAULT_MODEL,
    n_prompts: int = Prompts.searches,
    grid_prompts: int = Prompts.grid,
    out: Path = RESULTS,
    write: Write = False,
) -> None:
    """Measure some tasks or all, and write the figures as JSON and as tables."""
    say, bridge, exact = Console(stderr=True).print, load_model(model), references()
    known: dict[str, Any] = kept(out).get("tasks", {})
    config, prompts = DiscoveryConfig("app"), Prompts(n_prompts, grid_prompts)
    measured: dict[str, Any] = {"model": model, "tasks": known}
    for name in task or list_tasks():
        if not part:
            known[name] = {}
        given = (bridge, get_task(name), config, prompts, exact.get(name), say)
        for measured_part in measure_task(*given, [part] if part else PARTS):
            known.setdefault(name, {}).update(measured_part)
            measured["tasks"] = {t: known[t] for t in list_tasks() if t in known}
            publish(measured, out, "", None)
    publish(measured, out, markdown(measured), "cost table" if write else None)


if __name__ == "__main__":
    typer.run(main)
