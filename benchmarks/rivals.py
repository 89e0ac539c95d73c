"""The default against other ways to choose heads: sizes, and what they keep on unseen prompts.

python -m benchmarks.rivals [--task ioi] [--seeds 10] [--again] [--write]

For every task and seed: 16 prompts to find on, 16 others to choose by, 64 more to report on, the
same for all. Every way must keep the same percentage by the default's own test (`SizePoint.keeps`);
one that has no circuit that does is reported with the one that keeps most. What was measured is
kept, so that the benchmark goes on where it was stopped, and several processes may share the work,
each with tasks of its own.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.machine import describe_machine
from benchmarks.publish import Write, kept, publish
from benchmarks.rivals_table import DEFAULT, markdown
from circuits import DiscoveryConfig, discover_grid, load_model
from circuits.discovery.choose import Chooser, kept_on
from circuits.discovery.pipeline import Pipeline
from circuits.discovery.session import Session
from circuits.evaluation import Evaluator, SizeCurve, SizePoint, order_heads
from circuits.forward import TransformerBridge
from circuits.model import DEFAULT_MODEL
from circuits.scores import attribution_scores, input_gradient_scores
from circuits.statistics import Estimate
from circuits.tasks import get_task, list_tasks

RESULTS = Path(__file__).parent / "results" / "rivals.json"
KEEP, KEPT = 85.0, (50.0, 70.0, 85.0, 95.0)
"""Percent that is asked for, and those whose smallest circuits are reported, too, for a front."""
N_RANDOM, N_TRIED_ON = 200, 4
Row = dict[str, Any]


def measure_default(run: Pipeline) -> Row:
    """Figures of the default."""
    found = run.discover()
    assert found.sizes is not None
    per_pass = found.cost.forward_pass_flops
    held_out = run.evaluator.on(run.session.other_pairs[1])
    return {
        "edges": len(found.circuit.edges),
        "passes": {stage.stage: stage.flops / per_pass for stage in found.cost.stages},
        "seconds": found.cost.seconds,
        "ways": {DEFAULT: _reported(found.sizes, held_out)},
        "machine": describe_machine(),
    }


def measure_rivals(run: Pipeline, n_heads: int) -> dict[str, Row]:
    """Figures of each rival on the same prompts; random circuits have as many heads."""
    session, seed = run.session, run.session.config.seed
    validation, held_out = map(run.evaluator.on, session.other_pairs)
    chooser = Chooser(KEEP, run.evaluator, validation)
    ways: dict[str, Row] = {}
    rankings = {
        "top-n by attribution": attribution_scores(session.activations),
        "heads by EAP-IG": input_gradient_scores(session.activations),
    }
    for name, scores in rankings.items():
        own = replace(chooser)
        own.along(name, order_heads(scores, "signed"))
        ways[name] = _reported(own.curve, held_out)
    plain = DiscoveryConfig("app", seed=seed, verify=False)
    grid = discover_grid(session.bridge, session.task, config=plain)
    for name, points in {
        "threshold rule (app)": [p for p in grid.points if p.selection == plain.selection],
        "grid of 16 thresholds": grid.points,
    }.items():
        own = replace(chooser)
        own.tried(name, [p.circuit.heads for p in points])
        ways[name] = _reported(own.curve, held_out)
    ways[f"best of {N_RANDOM} random"] = _random(chooser, n_heads, seed, held_out)
    return ways


def _random(chooser: Chooser, n_heads: int, seed: int, held_out: Evaluator) -> Row:
    """The one that keeps most on some prompts of the search, of many circuits of one size."""
    search, draw = chooser.search, Random(seed)
    heads = sorted(search.everything)
    circuits = [frozenset(draw.sample(heads, n_heads)) for _ in range(N_RANDOM)]
    tried = search.on(search.pairs[:N_TRIED_ON]).performances(circuits)
    best = circuits[tried.index(max(tried))]
    own = replace(chooser)
    own.tried("random", [best])
    return _reported(own.curve, held_out)


def _reported(sizes: SizeCurve, held_out: Evaluator) -> Row:
    """The chosen circuit, and the smallest ones that keep less and more, on held-out prompts."""
    at = [sizes.point, *(p for keep in KEPT if (p := _at(sizes, keep)) is not None)]
    points = list(dict.fromkeys(at))
    kept = kept_on([point.heads for point in points], held_out)
    rows = [_row(*pair) for pair in zip(points, kept, strict=True)]
    return rows[0] | {"reaches": sizes.reaches, "front": rows}


def _at(sizes: SizeCurve, keep: float) -> SizePoint | None:
    return next((point for point in sizes.points if point.keeps(keep)), None)


def _row(point: SizePoint, kept: Estimate) -> Row:
    return {
        "ranking": point.ranking,
        "heads": [str(head) for head in sorted(point.heads)],
        "search": point.search.value,
        "validation": point.validation.value,
        "held_out": [kept.value, kept.low, kept.high],
    }


def main(
    task: Annotated[list[str] | None, typer.Option(help="A task to measure; all without.")] = None,
    model: str = DEFAULT_MODEL,
    device: str = "cpu",
    seeds: int = 10,
    rival_seeds: Annotated[int, typer.Option(help="Of how many seeds rivals are run.")] = 10,
    again: Annotated[
        bool, typer.Option("--again", help="Measure the default anew where it was on other code.")
    ] = False,
    out: Path = RESULTS,
    write: Write = False,
) -> None:
    """Measure what is not known yet, and write the figures as JSON and as a table."""
    bridge, about = load_model(model, device=device), {"model": model}
    warnings.simplefilter("ignore")

    def known() -> dict[str, Row]:
        return kept(out, about).get("rows", {})

    for rivals in (False, True):
        for seed in range(min(seeds, rival_seeds) if rivals else seeds):
            for name in task or list_tasks():
                row = _measured(bridge, name, seed, known(), rivals, again)
                # Read again: another process may have written since.
                rows = known() | {f"{name} {seed}": row}
                publish({**about, "rows": rows}, out, "", None)
    measured = {**about, "rows": known()}
    publish(measured, out, markdown(measured), "rivals table" if write else None)


def _measured(
    bridge: TransformerBridge,
    task: str,
    seed: int,
    rows: dict[str, Row],
    rivals: bool,
    again: bool,
) -> Row:
    """The row of a task and seed, with what it lacked."""
    row, here = rows.get(f"{task} {seed}", {"ways": {}}), describe_machine()
    is_known = len(row["ways"]) > rivals
    is_old = again and not rivals and is_known and row["machine"]["commit"] != here["commit"]
    if is_known and not is_old:
        return row
    config = DiscoveryConfig(seed=seed, keep=KEEP, n_held_out_prompts=64)
    run = Pipeline(Session.of(bridge, get_task(task), config))
    if rivals:
        new: Row = {"ways": measure_rivals(run, len(row["ways"][DEFAULT]["heads"]))}
        new["machine_of_rivals"] = here
    else:
        new = measure_default(run)
    row = row | new | {"ways": row["ways"] | new["ways"]}
    sizes = {
        way: f"{len(one['heads'])}: {one['held_out'][0]:.0f} %" for way, one in row["ways"].items()
    }
    Console(stderr=True, soft_wrap=True).print(f"{task}, seed {seed}: {sizes}")
    return row


if __name__ == "__main__":
    typer.run(main)
