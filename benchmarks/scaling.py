"""How the cost of path patching grows: random weights in the shapes of well-known models.

python -m benchmarks.scaling [--write]

Remove benchmarks/results/scaling.json to measure again what it holds.

Nothing is claimed about what these models would show: with random weights there is no circuit, and
FLOPs do not depend on weights. One prompt of 15 tokens unless a row says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch
import typer
from rich.console import Console
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from benchmarks.machine import describe_machine
from benchmarks.path_costs import counted, exact_flops, forward_flops, naive_passes
from benchmarks.publish import Write, kept, publish
from benchmarks.tables import table
from circuits.forward import LayeredModel
from circuits.patching import effect_table
from circuits.tasks import PromptPairs

RESULTS = Path(__file__).parent / "results" / "scaling.json"
_FIRST_DIFFERENCE = 2


def _gpt2(n_layers: int, n_heads: int, d_model: int) -> PreTrainedModel:
    return GPT2LMHeadModel(GPT2Config(n_layer=n_layers, n_head=n_heads, n_embd=d_model))


def _qwen() -> PreTrainedModel:
    return Qwen2ForCausalLM(
        Qwen2Config(
            hidden_size=896,
            intermediate_size=4864,
            num_hidden_layers=24,
            num_attention_heads=14,
            num_key_value_heads=2,
            tie_word_embeddings=True,
        )
    )


SHAPES: dict[str, Callable[[], PreTrainedModel]] = {
    "GPT-2 small": lambda: _gpt2(12, 12, 768),
    "GPT-2 medium": lambda: _gpt2(24, 16, 1024),
    "GPT-2 large": lambda: _gpt2(36, 20, 1280),
    "Qwen2.5-0.5B": _qwen,
}


@dataclass(frozen=True)
class Case:
    """A shape, and how many prompts of how many tokens."""

    shape: str
    n_prompts: int = 1
    n_tokens: int = 15


CASES = (
    *(Case(shape) for shape in SHAPES),
    *(Case("GPT-2 small", n_prompts=n) for n in (4, 16)),
    *(Case("GPT-2 small", n_tokens=n) for n in (30, 60)),
)


def random_model(shape: str) -> TransformerBridge:
    """A model of this shape; the same weights every time."""
    torch.manual_seed(0)
    model = SHAPES[shape]().eval().requires_grad_(False)
    model.set_attn_implementation("eager")
    return build_bridge_from_module(
        model, type(model).__name__, hf_config=model.config, model_name=f"random {shape}"
    )


def random_pairs(n_prompts: int, n_tokens: int, first: int = _FIRST_DIFFERENCE) -> PromptPairs:
    """Prompts of random tokens; a pair differs from position `first` on."""
    draw = torch.Generator().manual_seed(0)
    clean, corrupted = torch.randint(1000, (2, n_prompts, n_tokens), generator=draw)
    corrupted[:, :first] = clean[:, :first]
    corrupted[:, first] = clean[:, first] + 1
    text = ("random",) * n_prompts
    return PromptPairs(
        task="random",
        seed=0,
        clean=clean,
        corrupted=corrupted,
        end=torch.full((n_prompts,), n_tokens - 1),
        correct=torch.zeros(n_prompts, 1, dtype=torch.long),
        wrong=torch.ones(n_prompts, 1, dtype=torch.long),
        template=torch.zeros(n_prompts, dtype=torch.long),
        clean_text=text,
        corrupted_text=text,
    )


def measure(case: Case) -> dict[str, Any]:
    """Costs of the table of all paths, in FLOPs."""
    model = LayeredModel.of(random_model(case.shape))
    pairs = random_pairs(case.n_prompts, case.n_tokens)
    graph = model.graph()
    _, swept = counted(lambda: effect_table(model, pairs))
    return {
        "shape": case.shape,
        "n_layers": model.n_layers,
        "n_heads": model.n_heads,
        "n_kv_heads": model.n_kv_heads,
        "n_prompts": case.n_prompts,
        "n_tokens": case.n_tokens,
        "forward_pass_flops": forward_flops(model, pairs),
        "naive_passes": naive_passes(graph, graph.receivers),
        "exact_flops": exact_flops(model, pairs, graph.receivers),
        "swept_flops": swept,
    }


def markdown(measured: dict[str, Any]) -> str:
    """The figures as docs/numbers.md shows them."""
    rows = []
    for row in measured["rows"]:
        per_pass = row["forward_pass_flops"]
        exact, swept = row["exact_flops"] / per_pass, row["swept_flops"] / per_pass
        rows.append(
            [
                row["shape"],
                f"{row['n_layers']} x {row['n_heads']} ({row['n_kv_heads']})",
                f"{row['n_prompts']} x {row['n_tokens']}",
                f"{row['naive_passes']:,}",
                f"{exact:,.0f}",
                f"{swept:,.0f}",
                f"{row['naive_passes'] / swept:,.0f}",
            ]
        )
    titles = [
        "shape, random weights",
        "layers x heads (key/value)",
        "prompts x tokens",
        "naive",
        "exact",
        "swept",
        "naive / swept",
    ]
    head = "The table of all paths, in forward passes over the same prompts:\n\n"
    machines = [row["machine"] for row in measured["rows"]]
    commits = ", ".join(dict.fromkeys(machine["commit"] for machine in machines))
    source = (
        "\n\nNaive: two forward passes a path, not run; exact: the measured cost of one path of "
        "each receiver times its senders, not run; swept: FLOPs executed. "
        f"torch {machines[0]['torch']}; measured on commit {commits}."
    )
    return head + table(titles, rows) + source


def main(
    out: Path = RESULTS,
    write: Write = False,
) -> None:
    """Measure what is not measured yet, and write the figures as JSON and as a table.

    Every case is written as soon as it is known: interrupted, it goes on from there.
    """
    say = Console(stderr=True).print
    known = kept(out).get("rows", [])
    rows = {(row["shape"], row["n_prompts"], row["n_tokens"]): row for row in known}
    for case in CASES:
        key = astuple(case)
        if key not in rows:
            say(f"{case.shape}, {case.n_prompts} x {case.n_tokens} tokens ...")
            rows[key] = {**measure(case), "machine": describe_machine()}
            publish({"rows": list(rows.values())}, out, "", None)
    measured = {"rows": [rows[astuple(case)] for case in CASES]}
    publish(measured, out, markdown(measured), "scaling table" if write else None)


if __name__ == "__main__":
    typer.run(main)
