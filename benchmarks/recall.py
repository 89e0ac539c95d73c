"""What pruning loses: how many heads of the exact circuits each score keeps at each sparsity.

python -m benchmarks.recall [--write]

Circuits are those of dense exact path patching (benchmarks.exact), scores are taken on the same
prompts. Beside the sparsities stands what `discover_circuit` would cut at: the published recipe
(FLAP and Contrastive-FLAP, each at its first cliff, merged), and the heads that hold most of the
attribution, by default and with a larger share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from benchmarks.exact import references
from benchmarks.machine import describe_machine
from benchmarks.publish import Write, publish
from benchmarks.tables import table
from circuits import Discovery, Head, load_model
from circuits.comparison import head_roc_curve
from circuits.discovery.origin import sample_pairs
from circuits.discovery.pipeline import Pipeline
from circuits.discovery.session import Session
from circuits.forward import Activations, LayeredModel, TransformerBridge
from circuits.metrics import get_metric
from circuits.model import DEFAULT_MODEL
from circuits.pruning import PruningRule, keep_best, merged_candidates
from circuits.scores import HeadStatistics, attribution_scores, mask_scores
from circuits.tasks import get_task

RESULTS = Path(__file__).parent / "results" / "recall.json"
SPARSITIES = (0.6, 0.7, 0.8, 0.9)
CUTS: dict[str, tuple[str, PruningRule | None]] = {
    "merged-flap (published recipe)": ("merged-flap", None),
    "attribution (default)": ("attribution", None),
    "attribution, share 0.8": ("attribution", PruningRule("share", score_share=0.8)),
}
Scores = Mapping[str, Float[Tensor, "layer head"]]


def every_score(bridge: TransformerBridge, exact: Discovery) -> Scores:
    """Each score of every head, on the prompts of an exact search."""
    pairs, _ = sample_pairs(bridge, get_task(exact.provenance.task), exact.config)
    metric = get_metric(exact.config.metric)
    activations = Activations(LayeredModel.of(bridge), pairs, metric)
    statistics = HeadStatistics.collect(activations)
    return {
        "FLAP (WIFV)": statistics.scores("WIFV", None),
        "Contrastive-FLAP (WIFN), published": statistics.scores("WIFN", "published"),
        "paired contrast": statistics.scores(contrast="paired"),
        "attribution": attribution_scores(activations),
        "mask attribution": mask_scores(activations).mean,
    }


def measure_score(scores: Float[Tensor, "layer head"], truth: frozenset[Head]) -> dict[str, Any]:
    """Recall at every sparsity, and how often a head of the circuit outscores another."""
    return {
        "auc": head_roc_curve(scores, truth).auc,
        "recall": {str(s): recall(keep_best(scores, s), truth) for s in SPARSITIES},
    }


def measure_cut(
    bridge: TransformerBridge, exact: Discovery, prune_by: str, rule: PruningRule | None
) -> dict[str, Any]:
    """How many heads a discovery would leave, and how much of the circuit."""
    config = replace(exact.config, method="app", engine="sweep", prune_by=prune_by, pruning=rule)
    task = get_task(exact.provenance.task)
    run = Pipeline(Session.of(bridge, task, config))
    candidates = merged_candidates(run.prunings) or frozenset()
    return {"candidates": len(candidates), "recall": recall(candidates, exact.circuit.heads)}


def recall(kept: frozenset[Head], truth: frozenset[Head]) -> float:
    """Share of the circuit that is kept."""
    return len(kept & truth) / len(truth)


def measure_task(bridge: TransformerBridge, exact: Discovery) -> dict[str, Any]:
    """All scores and cuts against one exact circuit."""
    truth = exact.circuit.heads
    scores = every_score(bridge, exact).items()
    return {
        "n_prompts": exact.config.n_prompts,
        "heads": len(truth),
        "scores": {name: measure_score(of_heads, truth) for name, of_heads in scores},
        "cuts": {name: measure_cut(bridge, exact, *cut) for name, cut in CUTS.items()},
    }


def markdown(measured: dict[str, Any]) -> str:
    """The figures as docs/numbers.md shows them."""
    rows = []
    for task, of_task in measured["tasks"].items():
        for name, score in of_task["scores"].items():
            shares = [f"{score['recall'][str(s)]:.2f}" for s in SPARSITIES]
            rows.append([f"{task}, {of_task['heads']} heads", name, *shares, f"{score['auc']:.2f}"])
    titles = ["circuit", "score", *(f"{s:.0%} sparsity" for s in SPARSITIES), "AUC"]
    cuts = [
        [
            task,
            *(f"{cut['candidates']}, {cut['recall']:.2f}" for cut in of_task["cuts"].values()),
        ]
        for task, of_task in measured["tasks"].items()
    ]
    machine = measured["machine"]
    prompts = ", ".join(f"{task} {row['n_prompts']}" for task, row in measured["tasks"].items())
    return (
        "Share of the exact circuit's heads that pruning by each score keeps:\n\n"
        + table(titles, rows)
        + "\n\nHeads left where `discover_circuit` cuts, and the share of the circuit in them:\n\n"
        + table(["task", *next(iter(measured["tasks"].values()))["cuts"]], cuts)
        + f"\n\n{measured['model']}; prompts: {prompts}; seed 0; torch {machine['torch']}. "
        f"Measured on commit {machine['commit']}."
    )


def main(
    model: str = DEFAULT_MODEL,
    out: Path = RESULTS,
    write: Write = False,
) -> None:
    """Measure every task that has an exact search."""
    say, bridge = Console(stderr=True).print, load_model(model)
    tasks: dict[str, Any] = {}
    for name, exact in references().items():
        say(f"{name} ...")
        tasks[name] = measure_task(bridge, exact)
    measured = {"model": model, "tasks": tasks, "machine": describe_machine()}
    publish(measured, out, markdown(measured), "recall table" if write else None)


if __name__ == "__main__":
    typer.run(main)
