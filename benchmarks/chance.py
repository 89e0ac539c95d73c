"""What discovery returns where there is nothing to find, with the gate and without.

python -m benchmarks.chance [--task ioi] [--seeds 10] [--swept ioi] [--swept-seeds 10]
[--write]

Three controls: a model of the same architecture with random weights, prompts whose corrupted half
equals the clean one, and answers labelled correct and wrong by a coin. With the gate: how often the
default's verdict is "no circuit". Without it, on the tasks and seeds that are `--swept`, which
takes most of the time: the share of the model's heads that each selection rule keeps in a dense
search on estimates, all of them false. Every row is written to benchmarks/results/chance.json as
soon as it is done; run again, it goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.controls import Control, random_twin, with_equal_prompts, with_shuffled_answers
from benchmarks.machine import describe_machine
from benchmarks.publish import Write, kept, publish
from benchmarks.tables import spread, table
from circuits import SelectionRule, load_model
from circuits.discover import run_discovery
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.pipeline import Pipeline
from circuits.discovery.session import Session
from circuits.errors import InputError
from circuits.forward import TransformerBridge
from circuits.model import DEFAULT_MODEL
from circuits.tasks import Task, get_task, list_tasks

RESULTS = Path(__file__).parent / "results" / "chance.json"
RANDOM_WEIGHTS = "random weights"
CHANGES = {"equal prompts": with_equal_prompts, "shuffled answers": with_shuffled_answers}
CASES = (RANDOM_WEIGHTS, *CHANGES)
RULES = {"threshold": SelectionRule(), "significance": SelectionRule(kind="significance")}
"""Both with their defaults."""
Row = Mapping[str, Any]


def measure(
    bridge: TransformerBridge, task: Task, config: DiscoveryConfig, *, swept: bool
) -> dict[str, Any]:
    """The verdict with the gate; where `swept`, the false heads of both rules without it."""
    started = time.perf_counter()
    gated = run_discovery(bridge, task, config)
    return {
        "verdict": "" if gated.verdict is None else gated.verdict.kind,
        "reason": "" if gated.verdict is None else gated.verdict.reason,
        "heads_with_gate": len(gated.circuit),
        "n_heads": gated.circuit.n_layers * gated.circuit.n_heads,
        "without_gate": without_gate(bridge, task, config) if swept else None,
        "seconds": time.perf_counter() - started,
    }


def without_gate(bridge: TransformerBridge, task: Task, config: DiscoveryConfig) -> dict[str, Any]:
    """Heads that each rule keeps; None where there is nothing that effects could be a share of."""
    dense = replace(config.with_method("path-patching"), ignore_behaviour=True, verify=False)
    try:
        grown = Pipeline(Session.of(bridge, task, dense)).patch(list(RULES.values()))
    except InputError as error:
        return {"false_heads": None, "refused": str(error)}
    sizes = {name: len(found.circuit) for name, found in zip(RULES, grown, strict=True)}
    return {"false_heads": sizes, "refused": None}


def markdown(measured: Row) -> str:
    """One row for each control, and where the figures come from."""
    rows: Sequence[Row] = measured["rows"]
    titles = ["control", "no circuit, with the gate"]
    titles += [f"false heads without it, {rule}" for rule in RULES]
    lines = []
    for case in CASES:
        own = [row for row in rows if row["case"] == case]
        if own:
            refused = sum(row["verdict"] == "no circuit" for row in own)
            lines.append([case, f"{refused} of {len(own)}", *(_share(own, rule) for rule in RULES)])
    swept = _names(row["task"] for row in rows if row["without_gate"] is not None)
    machine = measured["machine"]
    return (
        f"{table(titles, lines)}\n\n"
        f"{measured['model']}, {measured['n_prompts']} prompts; "
        f"{_names(row['task'] for row in rows)}, seeds {min(row['seed'] for row in rows)} to "
        f"{max(row['seed'] for row in rows)} of each. False heads ({swept}): share of all heads in "
        "a dense search without verification, mean ± SD over seeds (seeds with any). "
        f"Torch {machine['torch']}, commit {machine['commit']}."
    )


def _names(tasks: Iterator[str]) -> str:
    return ", ".join(dict.fromkeys(tasks))


def _share(rows: Collection[Row], rule: str) -> str:
    swept = [row for row in rows if row["without_gate"] is not None]
    counted = [row for row in swept if row["without_gate"]["false_heads"] is not None]
    if not counted:
        return f"refused: {swept[0]['without_gate']['refused'].partition(':')[0]}" if swept else ""
    shares = [row["without_gate"]["false_heads"][rule] / row["n_heads"] for row in counted]
    any_heads = sum(share > 0 for share in shares)
    return f"{spread(shares, '{:.1%}')} ({any_heads} of {len(shares)})"


def key_of(row: Row) -> tuple[str, int, str]:
    """Case, seed and task."""
    return row["case"], row["seed"], row["task"]


def missing(
    rows: Collection[Row], tasks: Sequence[str], seeds: int, swept: Collection[tuple[int, str]]
) -> Iterator[tuple[str, int, str]]:
    """Case, seed and task of all that is not measured yet, or not without the gate."""
    done = {key_of(row): row["without_gate"] for row in rows}
    for case in CASES:
        for seed in range(seeds):
            for task in tasks:
                key = (case, seed, task)
                if key not in done or ((seed, task) in swept and done[key] is None):
                    yield key


def main(
    task: Annotated[list[str] | None, typer.Option(help="A task to test; all without.")] = None,
    swept: Annotated[list[str] | None, typer.Option(help="Also without the gate.")] = None,
    swept_seeds: Annotated[int, typer.Option(help="How many of the seeds without it.")] = 10,
    model: str = DEFAULT_MODEL,
    seeds: int = 10,
    n_prompts: int = 16,
    out: Path = RESULTS,
    write: Write = False,
) -> None:
    """Run every control with every seed, and write the figures as JSON and as a table."""
    say, about = Console(stderr=True).print, {"model": model, "n_prompts": n_prompts}
    tasks = task or list(list_tasks())
    without = {(seed, name) for seed in range(swept_seeds) for name in swept or ["ioi"]}
    rows, trained = kept(out, about).get("rows", []), load_model(model)
    twin = lru_cache(maxsize=1)(random_twin)
    for case, seed, name in list(missing(rows, tasks, seeds, without)):
        say(f"{case}, seed {seed}, {name} ...")
        is_random = case == RANDOM_WEIGHTS
        bridge = twin(model, seed) if is_random else trained
        control = get_task(name) if is_random else Control(get_task(name), CHANGES[case])
        config = DiscoveryConfig(n_prompts=n_prompts, seed=seed)
        row = {"case": case, "seed": seed, "task": name}
        rows = [old for old in rows if key_of(old) != (case, seed, name)]
        rows.append(row | measure(bridge, control, config, swept=(seed, name) in without))
        publish({**about, "rows": rows, "machine": describe_machine()}, out, "", None)
    measured = {**about, "rows": rows, "machine": describe_machine()}
    publish(measured, out, markdown(measured), "chance table" if write else None)


if __name__ == "__main__":
    typer.run(main)
