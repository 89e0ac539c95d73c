"""Path patching side by side: what each way costs, and whether it finds the same circuit.

python -m benchmarks.cost [--task ioi] [--write-readme]

Naive and exact path patching over all heads, the upward sweep, and the sweep verified; the same for
APP, and the published grid. Figures go to benchmarks/results/cost.json as soon as a task is done;
those of other tasks stay. Agreement is with the exact searches of benchmarks.exact, on as many
prompts as those had.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
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
from benchmarks.searches import Searches, grid_row, row_of
from circuits import Discovery, load_model
from circuits.config import DiscoveryConfig
from circuits.model import DEFAULT_MODEL, LayeredModel, TransformerBridge
from circuits.result import sample_pairs
from circuits.verification import receivers_of
from tasks import Task, get_task, list_tasks

RESULTS = Path(__file__).parent / "results" / "cost.json"
Say = Callable[[str], None]


@contextmanager
def dense_and_pruned(
    bridge: TransformerBridge, task: Task, config: DiscoveryConfig
) -> Iterator[tuple[Searches, Searches]]:
    """Searches among all heads, and among those that APP's pruning leaves."""
    with (
        Searches.begun(bridge, task, replace(config, method="path-patching")) as dense,
        Searches.begun(bridge, task, replace(config, method="app")) as app,
    ):
        yield dense, app


def measure_task(
    bridge: TransformerBridge,
    task: Task,
    config: DiscoveryConfig,
    exact: Discovery | None,
    say: Say,
) -> dict[str, Any]:
    """Every way of searching one task's circuit."""
    say(f"{task.name}: sweeps ...")
    with dense_and_pruned(bridge, task, config) as (dense, app):
        say(f"{task.name}: verification ...")
        found = {
            "n_prompts": config.n_prompts,
            "dense": side_by_side(dense),
            "app": side_by_side(app),
            **unpruned_costs(bridge, dense),
        }
        say(f"{task.name}: the grid ...")
        found["grid"] = grid_row(app)
        if exact is not None and exact.config.n_prompts == config.n_prompts:
            found["agreement"] = agreement(dense, app, exact)
    if exact is not None and exact.config.n_prompts != config.n_prompts:
        say(f"{task.name}: agreement on {exact.config.n_prompts} prompts ...")
        fewer = replace(config, n_prompts=exact.config.n_prompts)
        with dense_and_pruned(bridge, task, fewer) as (dense, app):
            found["agreement"] = agreement(dense, app, exact)
    return {**found, "machine": describe_machine()}


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
    reached = distinct(model, receivers_of(dense.verified.circuit))
    return {
        "n_tokens": int(pairs.end.max()) + 1,
        "forward_pass_flops": dense.swept.cost.forward_pass_flops,
        "receivers": len(reached),
        "naive_passes": naive_passes(model, reached),
        "naive_passes_all_receivers": naive_passes(model, every_receiver(model)),
        "exact_flops": exact_flops(model, pairs, reached),
    }


def main(
    task: Annotated[list[str] | None, typer.Option(help="A task to measure; all without.")] = None,
    model: str = DEFAULT_MODEL,
    n_prompts: int = 16,
    out: Path = RESULTS,
    write_into_readme: Annotated[bool, typer.Option("--write-readme")] = False,
) -> None:
    """Measure some tasks or all, and write the figures as JSON and as tables."""
    say, bridge, exact = Console(stderr=True).print, load_model(model), references()
    known: dict[str, Any] = json.loads(out.read_text())["tasks"] if out.is_file() else {}
    config = DiscoveryConfig(n_prompts=n_prompts)
    measured: dict[str, Any] = {"model": model, "tasks": known}
    for name in task or list_tasks():
        known[name] = measure_task(bridge, get_task(name), config, exact.get(name), say)
        measured["tasks"] = {t: known[t] for t in list_tasks() if t in known}
        publish(measured, out, "", None)
    publish(measured, out, markdown(measured), "cost table" if write_into_readme else None)


if __name__ == "__main__":
    typer.run(main)
