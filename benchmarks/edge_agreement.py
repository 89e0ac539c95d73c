"""How well cheap scores of edges agree with exact effects: which of them may be trusted here.

python -m benchmarks.edge_agreement [--task ioi] [--n-edges 500] [--write]

The exact effect of an edge is what corrupting it alone does, everything behind it computed again.
Edges are drawn evenly over the logarithm of their place among all, by the mean place that the
scores give them: drawn from all alike, nearly every one would do nothing. Scores and effects are
means over the same prompts. What was measured is kept, task by task.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, TypeVar

import numpy as np
import typer
from jaxtyping import Float
from rich.console import Console
from scipy.stats import rankdata
from torch import Tensor

from benchmarks.machine import describe_machine
from benchmarks.publish import Write, kept, publish
from benchmarks.tables import table
from circuits import load_model
from circuits.components import Connection
from circuits.edge_scores import EDGE_SCORERS, EdgeScoreSettings
from circuits.forward import Activations, LayeredModel, TransformerBridge
from circuits.masking import MaskedRuns
from circuits.metrics import logit_diff
from circuits.model import DEFAULT_MODEL, tokenizer_of
from circuits.runtime.cost import FlopCounter
from circuits.tasks import Task, get_task, list_tasks

RESULTS = Path(__file__).parent / "results" / "edge_agreement.json"
NOT_CHEAP = ("exact", "mattr", "edge-pruning", "random")
Row = dict[str, Any]
Value = TypeVar("Value")
Scores = Float[np.ndarray, " edge"]


def measure(bridge: TransformerBridge, task: Task, n_prompts: int, n_edges: int, seed: int) -> Row:
    """Each cheap score against exact effects of the same edges, and what it takes."""
    pairs = task.sample(tokenizer_of(bridge), n=n_prompts, seed=seed)
    both = Activations(LayeredModel.of(bridge), pairs, logit_diff)
    _, of_two = _priced(lambda: (both.clean_metric, both.corrupted_metric))
    runs = MaskedRuns(both)
    # What every score needs is run first, so that it counts for none.
    runs.metrics(runs.every_edge[None])
    names = [name for name in EDGE_SCORERS.names() if name not in NOT_CHEAP]
    every = runs.every_edge.bool()
    found = {name: _priced(partial(_of, runs, name)) for name in names}
    scores = {name: values[every].numpy() for name, (values, _) in found.items()}
    drawn = draw(scores, n_edges, seed)
    places = every.nonzero()[drawn].tolist()
    graph = runs.graph
    edges = tuple(Connection(graph.senders[c], graph.receivers[r]) for r, c in places)
    exact = _of(runs, "exact", edges)[every].numpy()[drawn]
    return {
        "prompts": n_prompts,
        "seed": seed,
        "edges": len(edges),
        "passes": {name: 2 * flops / of_two for name, (_, flops) in found.items()},
        "agreement": {name: agreement(own[drawn], exact) for name, own in scores.items()},
        "machine": describe_machine(),
    }


def _priced(run: Callable[[], Value]) -> tuple[Value, int]:
    with FlopCounter() as counter:
        value = run()
    return value, counter.flops


def _of(
    runs: MaskedRuns, name: str, edges: tuple[Connection, ...] | None = None
) -> Float[Tensor, "receiver sender"]:
    settings = EdgeScoreSettings(edges=edges)
    return EDGE_SCORERS.get(name).score(runs, settings).values.mean(-1)


def draw(scores: Mapping[str, Scores], n: int, seed: int) -> np.ndarray:
    """Places of edges, drawn evenly over the logarithm of the mean place that scores give them."""
    mean = np.mean([rankdata(-np.abs(own)) for own in scores.values()], axis=0)
    best_first, rng = mean.argsort(kind="stable"), np.random.default_rng(seed)
    chosen: set[int] = set()
    while len(chosen) < min(n, len(mean)):
        chosen.add(int(np.exp(rng.uniform(0, np.log(len(mean) + 1)))) - 1)
    return best_first[sorted(chosen)]


def agreement(scores: Scores, exact: Scores) -> Row:
    """Rank correlations, and how often the sign is right of the edges with the largest effects."""
    largest = np.abs(exact).argsort()[-max(1, len(exact) // 5) :]
    return {
        "signed": _rank_correlation(scores, exact),
        "absolute": _rank_correlation(np.abs(scores), np.abs(exact)),
        "sign": float(np.mean(np.sign(scores[largest]) == np.sign(exact[largest]))),
    }


def _rank_correlation(one: Scores, other: Scores) -> float:
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def markdown(measured: Row) -> str:
    """For each score: what it takes, and how well it agrees on each task and in the mean."""
    rows = measured["rows"]
    names = next(iter(rows.values()))["agreement"]

    def line(name: str) -> list[str]:
        own = [row["agreement"][name] for row in rows.values()]
        means = [f"{fmean(one[of] for one in own):.2f}" for of in ("signed", "absolute")]
        sign = f"{fmean(one['sign'] for one in own):.0%}"
        passes = f"{fmean(row['passes'][name] for row in rows.values()):.0f}"
        return [name, passes, *(f"{one['signed']:.2f}" for one in own), *means, sign]

    def mean(name: str) -> float:
        return fmean(row["agreement"][name]["signed"] for row in rows.values())

    titles = ("score", "passes", *rows, "mean", "mean of sizes", "sign of the largest fifth")
    one = next(iter(rows.values()))
    commits = ", ".join(sorted({row["machine"]["commit"] for row in rows.values()}))
    return (
        f"{table(titles, [line(name) for name in sorted(names, key=mean, reverse=True)])}\n\n"
        f"{measured['model']}, {one['prompts']} prompts, seed {one['seed']}, {one['edges']} edges "
        "of each task; Spearman's rank correlation of scores with exact effects, and of their "
        f"sizes. Torch {one['machine']['torch']}, commit {commits}."
    )


def main(
    task: Annotated[list[str] | None, typer.Option(help="A task to measure; all without.")] = None,
    model: str = DEFAULT_MODEL,
    n_prompts: int = 16,
    n_edges: int = 500,
    seed: int = 0,
    out: Path = RESULTS,
    write: Write = False,
) -> None:
    """Measure what is not known yet, and write the figures as JSON and as a table."""
    about = {"model": model, "asked": [n_prompts, n_edges, seed]}
    rows: dict[str, Row] = kept(out, about).get("rows", {})
    warnings.simplefilter("ignore")
    bridge = load_model(model)
    for name in task or list_tasks():
        if name not in rows:
            rows[name] = measure(bridge, get_task(name), n_prompts, n_edges, seed)
            publish({**about, "rows": rows}, out, "", None)
            Console(stderr=True).print(f"{name}: {rows[name]['agreement']}")
    measured = {**about, "rows": rows}
    publish(measured, out, markdown(measured), "edge agreement" if write else None)


if __name__ == "__main__":
    typer.run(main)
