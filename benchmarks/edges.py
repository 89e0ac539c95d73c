"""Circuits of edges by every method, on the field's graph and by its test.

python -m benchmarks.edges [--task ioi] [--method eap-ig] [--seeds 3] [--workers 1] [--write]

For every task, seed and method: 16 prompts to find on, 16 others to choose by, 64 more to report
on, the same for all methods. Each has a process of its own, so that its peak of memory is its own.
What was measured is kept, so that the benchmark goes on where it was stopped.
"""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.edges_table import markdown, summary
from benchmarks.machine import describe_machine
from benchmarks.publish import Write, kept, publish
from circuits import Discovery, DiscoveryConfig, load_model
from circuits.discovery.methods import edge_method_names
from circuits.discovery.pipeline import Pipeline
from circuits.discovery.session import Session
from circuits.evaluation import EdgeCurve, EdgeEvaluator, EdgePoint, edge_curves
from circuits.forward import TransformerBridge
from circuits.model import DEFAULT_MODEL
from circuits.statistics import Estimate
from circuits.tasks import Task, get_task, list_tasks

RESULTS = Path(__file__).parent / "results" / "edges.json"
KEEP = 85.0
TOO_DEAR = ("exact",)
"""One pass for each edge: not run unless named."""
LEARNED = ("mattr", "edge-pruning")
"""Hundreds of steps: run when all others were."""
Row = dict[str, Any]


def measure(bridge: TransformerBridge, task: Task, config: DiscoveryConfig) -> Row:
    """What a method finds, what that keeps on held-out prompts, and MIB's figures there.

    The latter of methods that rank all edges: ACDC does not.
    """
    session = Session.of(bridge, task, config)
    found = Pipeline(session).discover()
    row = {**_chosen(found), "machine": describe_machine()}
    if (ranking := found.rankings.get(config.method)) is None:
        return row
    held_out = EdgeEvaluator(session.model, session.other_pairs[1], session.metric)
    curves = edge_curves(held_out, ranking, config.method, keep=None)
    return row | {
        "cpr": _ends(curves.cpr),
        "cmd": _ends(curves.cmd),
        "signed": _curve(curves.signed),
        "absolute": _curve(curves.absolute),
    }


def _chosen(found: Discovery) -> Row:
    """The smallest circuit that keeps enough where it was chosen, and its price."""
    sizes, per_pass = found.sizes, found.cost.forward_pass_flops
    assert sizes is not None
    point = sizes.point
    assert isinstance(point, EdgePoint)
    assert point.held_out is not None
    return {
        "method": found.config.method,
        "edges": len(point),
        "nodes": len(found.circuit.nodes),
        "ranking": point.ranking,
        "reaches": sizes.reaches,
        "search": point.search.value,
        "validation": point.validation.value,
        "held_out": _ends(point.held_out),
        "passes": {stage.stage: stage.flops / per_pass for stage in found.cost.stages},
        "seconds": found.cost.seconds,
        "peak_memory_bytes": found.cost.peak_memory_bytes,
    }


def _curve(curve: EdgeCurve) -> Row:
    return {
        "log_cpr": _ends(curve.log_cpr),
        "log_cmd": _ends(curve.log_cmd),
        "faithfulness": {str(point.share): point.faithfulness.value for point in curve.points},
    }


def _ends(of: Estimate) -> list[float]:
    return [of.value, of.low, of.high]


def _in_its_own_process(model: str, device: str, task: str, method: str, seed: int) -> Row:
    warnings.simplefilter("ignore")
    config = DiscoveryConfig(method, mlps="nodes", seed=seed, keep=KEEP, n_held_out_prompts=64)
    if method == "acdc":
        # From all edges it would take a pass for each of them, many times.
        config = replace(config, start="pruned")
    return measure(load_model(model, device=device), get_task(task), config)


def main(
    task: Annotated[list[str] | None, typer.Option(help="A task to measure; all without.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="A method; all without.")] = None,
    model: str = DEFAULT_MODEL,
    device: str = "cpu",
    seeds: int = 3,
    workers: Annotated[int, typer.Option(help="How many are measured at once.")] = 1,
    out: Path = RESULTS,
    write: Write = False,
) -> None:
    """Measure what is not known yet, and write the figures as JSON and as tables."""
    about = {"model": model}

    def known() -> dict[str, Row]:
        return kept(out, about).get("rows", {})

    def asked() -> Iterator[tuple[str, str, int]]:
        usual = [name for name in edge_method_names() if name not in (*TOO_DEAR, *LEARNED)]
        for some in [method] if method else [usual, LEARNED]:
            for seed in range(seeds):
                for name in task or list_tasks():
                    yield from ((name, way, seed) for way in some)

    context = multiprocessing.get_context("spawn")
    processes = ProcessPoolExecutor(workers, mp_context=context, max_tasks_per_child=1)
    running = {
        processes.submit(_in_its_own_process, model, device, name, way, seed): key
        for name, way, seed in asked()
        if (key := f"{name} {seed} {way}") not in known()
    }
    try:
        for done in as_completed(running):
            key, row = running[done], done.result()
            told = f"{row['edges']} edges keep {row['held_out'][0]:.0f} %"
            Console(stderr=True, soft_wrap=True).print(f"{key}: {told}")
            # Read again: another process may have written since.
            publish({**about, "rows": known() | {key: row}}, out, "", None)
    finally:
        # What has not begun is not waited for where a row fails, or at Ctrl-C.
        processes.shutdown(cancel_futures=True)
    measured = {**about, "rows": known()}
    publish(measured, out, markdown(measured), "edges table" if write else None)
    publish(measured, out, summary(measured), "edges summary" if write else None)


if __name__ == "__main__":
    typer.run(main)
