"""What prompts of 2,048 tokens take: the seconds and the memory of swept effects.

python -m benchmarks.long_context [--write]

On SmolLM2-135M with random tokens, since neither depends on what a prompt says. Only what a
corruption can reach is computed, so that a pair that differs in its last tokens costs little; one
that differs from its beginning on is measured for a few heads. Every case has a process of its own,
whose largest memory is its own. Remove benchmarks/results/long_context.json to measure again.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import typer
from rich.console import Console

from benchmarks.machine import describe_machine
from benchmarks.publish import Write, kept, publish
from benchmarks.scaling import random_pairs
from benchmarks.tables import table
from circuits.components import all_heads
from circuits.forward import LayeredModel
from circuits.model import DEFAULT_MODEL, load_model
from circuits.patching import effect_table
from circuits.runtime.cost import peak_memory

RESULTS = Path(__file__).parent / "results" / "long_context.json"
_MIB = 1 << 20


@dataclass(frozen=True)
class Case:
    """How many prompts of how many tokens differ in how many, and how many heads are swept."""

    n_prompts: int
    n_tokens: int
    n_different: int
    n_heads: int


CASES = (Case(2, 128, 16, 270), Case(2, 2048, 16, 270), Case(1, 2048, 2046, 4))


def measure(case: Case, model: str = DEFAULT_MODEL) -> dict[str, Any]:
    """Seconds of one sweep, and the largest memory of this process in front of it and behind it."""
    torch.set_num_threads(1)
    layered = LayeredModel.of(load_model(model))
    heads = all_heads(layered.n_layers, layered.n_heads)
    step = len(heads) // case.n_heads
    pairs = random_pairs(case.n_prompts, case.n_tokens, case.n_tokens - case.n_different)
    loaded, began = peak_memory(), perf_counter()
    known = effect_table(layered, pairs, heads[::step][: case.n_heads]).n_known
    return {
        **asdict(case),
        "n_effects": known,
        "seconds": round(perf_counter() - began, 1),
        "loaded_mib": round(loaded / _MIB),
        "peak_mib": round(peak_memory() / _MIB),
        "machine": describe_machine(),
    }


def markdown(measured: dict[str, Any]) -> str:
    """The figures as docs/numbers.md shows them."""
    rows = [
        [
            f"{row['n_prompts']} x {row['n_tokens']:,}",
            f"{row['n_different']:,}",
            f"{row['n_heads']}",
            f"{row['n_effects']:,}",
            f"{row['seconds']:,.0f} s",
            f"{row['loaded_mib']:,} MiB",
            f"{row['peak_mib']:,} MiB",
        ]
        for row in measured["rows"]
    ]
    titles = ["prompts x tokens", "that differ", "heads", "effects", "time", "loaded", "at most"]
    machines = [row["machine"] for row in measured["rows"]]
    commits = ", ".join(dict.fromkeys(machine["commit"] for machine in machines))
    return (
        table(titles, rows, n_left=1)
        + f"\n\nOne sweep over SmolLM2-135M (30 layers x 9 heads), random tokens, float32, one "
        f"thread of {machines[0]['processor']}. *Loaded* and *at most* are the largest memory of "
        f"the process before the sweep and behind it. torch {machines[0]['torch']}; measured on "
        f"commit {commits}."
    )


def main(out: Path = RESULTS, write: Write = False) -> None:
    """Measure what is not measured yet, and write the figures as JSON and as a table."""
    say = Console(stderr=True).print
    rows = {
        Case(*(row[name] for name in asdict(CASES[0]))): row for row in kept(out).get("rows", [])
    }
    for case in CASES:
        if case not in rows:
            say(f"{case} ...")
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                rows[case] = process.submit(measure, case).result()
            publish({"rows": list(rows.values())}, out, "", None)
    measured = {"rows": [rows[case] for case in CASES]}
    publish(measured, out, markdown(measured), "long context table" if write else None)


if __name__ == "__main__":
    typer.run(main)
