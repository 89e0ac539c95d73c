"""What prompts of 2,048 tokens take: the seconds and the memory of swept effects.

python -m benchmarks.long_context [--write]

Random tokens, since neither depends on what a prompt says. Only what a corruption can reach is
computed: a pair that differs in its last tokens costs little more than its forward passes, one that
differs from its beginning on costs most, and is measured on a small model of random weights. Every
case has a process of its own, whose largest memory is its own. Remove
benchmarks/results/long_context.json to measure again.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from time import process_time
from typing import Any

import torch
import typer
from rich.console import Console
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.machine import describe_machine
from benchmarks.publish import Write, kept, publish
from benchmarks.scaling import random_pairs
from benchmarks.tables import table
from circuits.forward import LayeredModel
from circuits.model import DEFAULT_MODEL, load_model
from circuits.patching import effect_table
from circuits.runtime.cost import peak_memory

RESULTS = Path(__file__).parent / "results" / "long_context.json"
SMALL = "random weights"
_MIB = 1 << 20


@dataclass(frozen=True)
class Case:
    """A model, and how many prompts of how many tokens differ in how many of them."""

    model: str
    n_prompts: int
    n_tokens: int
    n_different: int


CASES = (
    Case(SMALL, 2, 2048, 16),
    Case(SMALL, 2, 2048, 2046),
    Case(DEFAULT_MODEL, 2, 128, 16),
    Case(DEFAULT_MODEL, 2, 2048, 16),
)


def small_model() -> TransformerBridge:
    """4 layers of 8 heads, the same weights every time."""
    torch.manual_seed(0)
    heads: dict[str, Any] = {
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
    }
    sizes: dict[str, Any] = {"hidden_size": 256, "intermediate_size": 1024, "vocab_size": 1024}
    model = LlamaForCausalLM(LlamaConfig(**heads, **sizes, max_position_embeddings=2048))
    model.eval().requires_grad_(False).set_attn_implementation("eager")
    name = type(model).__name__
    return build_bridge_from_module(model, name, hf_config=model.config, model_name=SMALL)


def measure(case: Case) -> dict[str, Any]:
    """Seconds of one sweep, and the largest memory of this process in front of it and behind it."""
    torch.set_num_threads(1)
    model = LayeredModel.of(small_model() if case.model == SMALL else load_model(case.model))
    pairs = random_pairs(case.n_prompts, case.n_tokens, case.n_tokens - case.n_different)
    # Of this process alone, whatever else the machine does.
    loaded, began = peak_memory(), process_time()
    known = effect_table(model, pairs).n_known
    return {
        **asdict(case),
        "n_layers": model.n_layers,
        "n_heads": model.n_heads,
        "n_effects": known,
        "seconds": round(process_time() - began, 1),
        "loaded_mib": round(loaded / _MIB),
        "peak_mib": round(peak_memory() / _MIB),
        "machine": describe_machine(),
    }


def markdown(measured: dict[str, Any]) -> str:
    """The figures as docs/numbers.md shows them."""
    rows = [
        [
            f"{row['model']}, {row['n_layers']} x {row['n_heads']}",
            f"{row['n_prompts']} x {row['n_tokens']:,}",
            f"{row['n_different']:,}",
            f"{row['n_effects']:,}",
            f"{row['seconds']:,.0f} s",
            f"{row['loaded_mib']:,} MiB",
            f"{row['peak_mib']:,} MiB",
        ]
        for row in measured["rows"]
    ]
    titles = ["model, layers x heads", "prompts x tokens", "that differ", "effects", "time"]
    titles += ["loaded", "at most"]
    machines = [row["machine"] for row in measured["rows"]]
    commits = ", ".join(dict.fromkeys(machine["commit"] for machine in machines))
    return (
        table(titles, rows, n_left=1)
        + f"\n\nOne sweep over all heads, random tokens, float32. *Time* is that of one thread of "
        f"{machines[0]['processor']}; *loaded* and *at most* are the largest memory of the process "
        f"before the sweep and behind it. torch {machines[0]['torch']}. Measured on commit "
        f"{commits}."
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
