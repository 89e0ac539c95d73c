"""What discovery returns where there is nothing to find, with the gate and without.

python -m benchmarks.chance [--model smollm2-135m] [--task ioi] [--seeds 10] [--write-readme]

Three controls: a model of the same architecture with random weights, prompts whose corrupted half
equals the clean one, and answers labelled correct and wrong by a coin. With the gate: how often the
verdict is "no circuit". Without it: the share of the model's heads that each selection rule keeps
in a dense search on estimates, all of them false. Every seed is written to
benchmarks/results/chance.json as soon as it is done; run again, it goes on from there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.controls import Control, random_twin, with_equal_prompts, with_shuffled_answers
from benchmarks.cost_report import table
from benchmarks.machine import describe_machine
from benchmarks.publish import publish
from circuits import SelectionRule, load_model
from circuits.config import DiscoveryConfig
from circuits.discover import run_discovery
from circuits.model import DEFAULT_MODEL, TransformerBridge
from circuits.run import Run
from circuits.setting import Setting
from tasks import Task, get_task

RESULTS = Path(__file__).parent / "results" / "chance.json"
RANDOM_WEIGHTS = "random weights"
CHANGES = {"equal prompts": with_equal_prompts, "shuffled answers": with_shuffled_answers}
CASES = (RANDOM_WEIGHTS, *CHANGES)
RULES = {"threshold": SelectionRule(), "significance": SelectionRule(kind="significance")}
"""Both with their defaults."""
Row = Mapping[str, Any]


def measure(bridge: TransformerBridge, task: Task, config: DiscoveryConfig) -> dict[str, Any]:
    """The verdict with the gate, and the false heads of both rules without it."""
    started = time.perf_counter()
    gated = run_discovery(bridge, task, replace(config, ignore_behaviour=False))
    return {
        "verdict": "" if gated.verdict is None else gated.verdict.kind,
        "reason": "" if gated.verdict is None else gated.verdict.reason,
        "heads_with_gate": len(gated.circuit),
        "n_heads": gated.circuit.n_layers * gated.circuit.n_heads,
        **without_gate(bridge, task, config),
        "seconds": time.perf_counter() - started,
    }


def without_gate(bridge: TransformerBridge, task: Task, config: DiscoveryConfig) -> dict[str, Any]:
    """Heads that each rule keeps; None where there is nothing that effects could be a share of."""
    config = replace(config, method="path-patching", ignore_behaviour=True, verify=False)
    rules = {
        name: replace(rule, min_effect=config.selection.min_effect) for name, rule in RULES.items()
    }
    try:
        grown = Run(Setting.of(bridge, task, config)).patch(list(rules.values()))
    except ValueError as error:
        return {"false_heads": None, "refused": str(error)}
    sizes = {name: len(found.circuit) for name, found in zip(rules, grown, strict=True)}
    return {"false_heads": sizes, "refused": None}


def markdown(measured: Row) -> str:
    """One row for each control, and where the figures come from."""
    cases = {case: [r for r in measured["rows"] if r["case"] == case] for case in CASES}
    columns = {
        "seeds": lambda rows: str(len(rows)),
        "no circuit, with the gate": lambda rows: (
            f"{sum(row['verdict'] == 'no circuit' for row in rows)} of {len(rows)}"
        ),
        **{
            f"false heads without it, {rule}": lambda rows, rule=rule: _share(rows, rule)
            for rule in RULES
        },
    }
    lines = [
        [case, *(cell(rows) for cell in columns.values())] for case, rows in cases.items() if rows
    ]
    machine = measured["machine"]
    return (
        f"{table(['control', *columns], lines)}\n\n"
        f"{measured['model']}, {measured['task']}, {measured['n_prompts']} prompts. False heads: "
        "share of all heads in a dense search without verification, mean ± SD over seeds (seeds "
        f"with any). Torch {machine['torch']}, commit {machine['commit']}."
    )


def _share(rows: Sequence[Row], rule: str) -> str:
    counted = [row for row in rows if row["false_heads"] is not None]
    if not counted:
        return f"refused: {rows[0]['refused'].partition(':')[0]}"
    shares = [row["false_heads"][rule] / row["n_heads"] for row in counted]
    spread = stdev(shares) if len(shares) > 1 else 0.0
    any_heads = sum(share > 0 for share in shares)
    return f"{mean(shares):.1%} ± {spread:.1%} ({any_heads} of {len(shares)})"


def rows_kept(out: Path, about: Row) -> list[dict[str, Any]]:
    """What an earlier run of the same model, task and number of prompts has measured."""
    known = json.loads(out.read_text()) if out.is_file() else {}
    return known["rows"] if all(known.get(name) == value for name, value in about.items()) else []


def main(
    model: str = DEFAULT_MODEL,
    task: str = "ioi",
    seeds: int = 10,
    n_prompts: int = 16,
    out: Path = RESULTS,
    write_into_readme: Annotated[bool, typer.Option("--write-readme")] = False,
) -> None:
    """Run every control with every seed, and write the figures as JSON and as a table."""
    say, about = Console(stderr=True).print, {"model": model, "task": task, "n_prompts": n_prompts}
    rows, trained = rows_kept(out, about), load_model(model)
    done = {(row["case"], row["seed"]) for row in rows}
    for case in CASES:
        for seed in range(seeds):
            if (case, seed) in done:
                continue
            say(f"{case}, seed {seed} ...")
            is_random = case == RANDOM_WEIGHTS
            control = get_task(task) if is_random else Control(get_task(task), CHANGES[case])
            bridge = random_twin(model, seed) if is_random else trained
            config = DiscoveryConfig(n_prompts=n_prompts, seed=seed)
            rows.append({"case": case, "seed": seed, **measure(bridge, control, config)})
            publish({**about, "rows": rows, "machine": describe_machine()}, out, "", None)
    measured = {**about, "rows": rows, "machine": describe_machine()}
    publish(measured, out, markdown(measured), "chance table" if write_into_readme else None)


if __name__ == "__main__":
    typer.run(main)
