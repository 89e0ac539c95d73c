"""What each path-patching engine costs, and how well the sweep agrees with exact effects.

python -m benchmarks.engines [--write]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import typer
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from benchmarks.machine import describe_machine
from benchmarks.path_costs import counted, forward_flops, naive_passes
from benchmarks.publish import Write, publish
from benchmarks.tables import table
from circuits import Head, Receiver, load_model
from circuits.forward import LayeredModel
from circuits.model import DEFAULT_MODEL, tokenizer_of
from circuits.patching import effect_table, path_effects
from circuits.tasks import PromptPairs, get_task

RESULTS = Path(__file__).parent / "results" / "engines.json"
RECEIVERS = ("23.3.q", "20.0.q", "17.0.k", "20.0.v", "11.4.q", "11.4.v")
COST_RECEIVERS = ("11.4.q", "23.3.q", "logits")


def cost_against_reference(
    model: LayeredModel, pairs: PromptPairs, receiver: Receiver
) -> dict[str, Any]:
    """FLOPs of the exact engine for all senders against the naive one, and their difference.

    The naive engine runs one sender per layer; all of them would cost the same FLOPs each.
    """
    below = model.n_layers if receiver.head is None else receiver.head.layer
    sample = [Head(layer, layer % model.n_heads) for layer in range(below)]
    naive, sample_flops = counted(lambda: path_effects(model, pairs, receiver, sample, "reference"))
    _, two_runs = counted(lambda: path_effects(model, pairs, receiver, [], "reference"))
    exact, exact_flops = counted(lambda: path_effects(model, pairs, receiver))
    compared = ~naive.isnan()
    naive_flops = (sample_flops - two_runs) * model.n_heads
    return {
        "receiver": str(receiver),
        "senders": below * model.n_heads,
        "times_fewer_flops": naive_flops / exact_flops,
        "largest_difference": float((naive - exact)[compared].abs().max()),
    }


def agreement(
    swept: Float[Tensor, "layer head"], exact: Float[Tensor, "layer head"]
) -> dict[str, float]:
    """Correlation, rank correlation and largest error of swept effects."""
    present = ~exact.isnan()
    both = torch.stack([swept[present], exact[present]])
    ranks = both.argsort(-1).argsort(-1).float()
    return {
        "correlation": float(torch.corrcoef(both)[0, 1]),
        "rank_correlation": float(torch.corrcoef(ranks)[0, 1]),
        "largest_error": float((both[0] - both[1]).abs().max()),
        "largest_effect": float(both[1].abs().max()),
    }


def measure(model_name: str, n_prompts: int, seed: int, progress: Console) -> dict[str, Any]:
    """All figures of this benchmark on IOI."""
    bridge = load_model(model_name)
    model = LayeredModel.of(bridge)
    graph = model.graph()
    pairs = get_task("ioi").sample(tokenizer_of(bridge), n=n_prompts, seed=seed)
    few = pairs[:2]
    forward = forward_flops(model, pairs)
    progress.print("cost of exact against naive path effects ...")
    costs = [cost_against_reference(model, few, Receiver.parse(name)) for name in COST_RECEIVERS]
    progress.print("the dense table ...")
    effects, swept = counted(lambda: effect_table(model, pairs))
    rows = []
    for name in RECEIVERS:
        progress.print(f"exact effects on {name} ...")
        receiver = Receiver.parse(name)
        exact = path_effects(model, pairs, receiver)
        rows.append({"receiver": name, **agreement(effects.effects(receiver), exact)})
    return {
        "model": model_name,
        "task": "ioi",
        "n_prompts": n_prompts,
        "seed": seed,
        "machine": describe_machine(),
        "forward_pass_flops": forward,
        "dense_table_forward_passes": swept / forward,
        "naive_dense_forward_passes": naive_passes(graph, graph.receivers),
        "exact": costs,
        "sweep": rows,
    }


def markdown(measured: dict[str, Any]) -> str:
    """The figures as docs/numbers.md shows them."""
    exact = ", ".join(
        f"{row['times_fewer_flops']:.1f} times for {row['receiver']}" for row in measured["exact"]
    )
    worst = max(row["largest_difference"] for row in measured["exact"])
    titles = ["receiver", "correlation", "rank correlation", "largest error", "largest effect"]
    rows = [
        [
            row["receiver"],
            f"{row['correlation']:.3f}",
            f"{row['rank_correlation']:.3f}",
            f"{row['largest_error']:.2g}",
            f"{row['largest_effect']:.2g}",
        ]
        for row in measured["sweep"]
    ]
    machine = measured["machine"]
    return (
        f"`exact` takes fewer FLOPs than `reference`: {exact}; largest difference {worst:.0e}. "
        f"The whole dense table by `sweep`: {measured['dense_table_forward_passes']:.0f} forward "
        f"passes (naive: {measured['naive_dense_forward_passes']:,}). How swept effects agree with "
        f"exact ones, all senders:\n\n{table(titles, rows)}\n\n"
        f"{measured['model']}, {measured['task']}, {measured['n_prompts']} prompts, seed "
        f"{measured['seed']} (FLOP ratios: 2 prompts); torch "
        f"{machine['torch']}. Written by `make bench` on commit {machine['commit']}."
    )


def main(
    model: str = DEFAULT_MODEL,
    n_prompts: int = 16,
    seed: int = 0,
    out: Path = RESULTS,
    write: Write = False,
) -> None:
    """Measure, write the figures as JSON and print them."""
    measured = measure(model, n_prompts, seed, Console(stderr=True))
    publish(measured, out, markdown(measured), "engine table" if write else None)


if __name__ == "__main__":
    typer.run(main)
