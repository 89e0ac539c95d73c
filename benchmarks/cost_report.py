"""The figures of benchmarks.cost as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

PAPER_FACTORS = {
    "docstring": (2.72, 5.65, 2.96, 5.22),
    "ioi": (5.60, 9.25, 5.04, 4.32),
    "induction": (3.67, 14.87, 2.46, 7.23),
    "gendered-pronouns": (5.47, 4.11, 8.33, 7.02),
    "greater-than": (6.32, 5.58, 3.68, 8.03),
}
"""APP (arXiv 2511.05442): dense path patching's FLOPs over APP's, as published."""
PAPER_MODELS = ("GPT-2 small", "GPT-2 large", "Qwen2.5-0.5B", "Qwen2.5-7B")
Row = Mapping[str, Any]


def markdown(measured: Row) -> str:
    """All tables."""
    tasks: Row = measured["tasks"]
    parts = [_costs(tasks), _source(measured), _agreement(tasks), _grids(tasks), _paper(tasks)]
    return "\n\n".join(part for part in parts if part)


def _costs(tasks: Row) -> str:
    def passes(task: Row, flops: float) -> str:
        return f"{flops / task['forward_pass_flops']:,.0f}"

    def search(method: str, kind: str) -> Callable[[Row], str]:
        return lambda task: passes(task, task["searches"][method][kind]["flops"])

    def factor(method: str) -> Callable[[Row], str]:
        def times(task: Row) -> str:
            own = task["searches"][method]["verified"]["flops"] / task["forward_pass_flops"]
            fewest, most = task["naive_passes"], task["naive_passes_all_receivers"]
            return f"{fewest / own:,.0f} / {most / own:,.0f}"

        return times

    def kept(method: str) -> Callable[[Row], str]:
        def shown(task: Row) -> str:
            found = task["searches"][method]["verified"]
            return f"{found['heads']}, {found['performance']:.0f} %"

        return shown

    columns: dict[str, Callable[[Row], str]] = {
        "naive, same receivers": lambda task: f"{task['naive_passes']:,}",
        "naive, all receivers": lambda task: f"{task['naive_passes_all_receivers']:,}",
        "dense exact": lambda task: passes(task, task["exact_flops"]),
        "dense swept": search("path-patching", "swept"),
        "dense verified": search("path-patching", "verified"),
        "APP swept": search("app", "swept"),
        "APP verified": search("app", "verified"),
        "naive / dense verified": factor("path-patching"),
        "naive / APP verified": factor("app"),
        "dense heads, performance": kept("path-patching"),
        "APP heads, performance": kept("app"),
    }
    head = "Cost in forward passes over the same prompts, all stages included:\n\n"
    rows = [[name, *(show(task) for show in columns.values())] for name, task in tasks.items()]
    return head + table(["task", *columns], rows)


def _source(measured: Row) -> str:
    tasks: Row = measured["tasks"]
    machines = [task["machine"] for task in tasks.values()]
    counts = ", ".join(sorted({str(task["n_prompts"]) for task in tasks.values()}))
    commits = ", ".join(sorted({machine["commit"] for machine in machines}))
    memory = max(
        search[kind]["peak_memory_bytes"]
        for task in tasks.values()
        for search in task["searches"].values()
        for kind in search
    )
    first = machines[0]
    return (
        "Naive: two forward passes for every sender of every receiver (the receivers that the "
        "dense verified search reached, or all of the model's), not run. Dense exact: the measured "
        "cost of one path of each receiver times its senders, not run for the cost. All others: "
        f"FLOPs executed, by FlopCounterMode. {measured['model']}, {counts} prompts, seed 0; "
        f"{first['processor']}, {first['threads']} threads, torch {first['torch']}; peak memory of "
        f"the whole benchmark {memory / 2**30:.1f} GiB. Measured on commit {commits}."
    )


def _agreement(tasks: Row) -> str:
    rows = []
    for name, task in tasks.items():
        if not (found := task.get("agreement")):
            continue
        dense, estimated, app, bound = (
            found[key]
            for key in ("path-patching verified", "path-patching swept", "app verified", "bound")
        )
        rows.append(
            [
                name,
                found["n_prompts"],
                found["heads"],
                f"{estimated['jaccard']:.2f} / {estimated['edge_jaccard']:.2f}",
                f"{dense['jaccard']:.2f} / {dense['edge_jaccard']:.2f}",
                f"{app['precision']:.2f} / {app['recall']:.2f}",
                f"{bound['bound']:.3f} / {bound['largest_missed_effect']:.3f}",
                f"{bound['share_within']:.2%} (at least {bound['coverage']:.0%})",
            ]
        )
    titles = [
        "task",
        "prompts",
        "exact circuit's heads",
        "swept: Jaccard of heads / edges",
        "verified: Jaccard of heads / edges",
        "APP verified: precision / recall",
        "bound / largest effect missed",
        "paths left out within the bound (stated)",
    ]
    return "Agreement with exact path patching:\n\n" + table(titles, rows) if rows else ""


def _grids(tasks: Row) -> str:
    rows = []
    for name, task in tasks.items():
        if not (grid := task.get("grid")):
            continue
        chosen = next((point for point in grid["points"] if point["chosen"]), None)
        shown = (
            "none keeps 75 %"
            if chosen is None
            else f"{chosen['heads']} heads, {chosen['performance']:.0f} % "
            f"(threshold {chosen['threshold']}, smallest effect {chosen['min_effect']})"
        )
        per_pass = task["forward_pass_flops"]
        rows.append(
            [
                name,
                f"{grid['widest_flops'] / per_pass:,.0f}",
                f"{grid['grid_flops'] / per_pass:,.0f}",
                f"{grid['grid_flops'] / grid['widest_flops']:.2f}",
                shown,
            ]
        )
    titles = ["task", "widest run", "16-point grid", "ratio", "smallest circuit that keeps 75 %"]
    head = "The published grid by APP, verified, in forward passes without evaluation:\n\n"
    return head + table(titles, rows) if rows else ""


def _paper(tasks: Row) -> str:
    rows = [
        [name, *(f"{factor:.2f}" for factor in PAPER_FACTORS[name])]
        for name in tasks
        if name in PAPER_FACTORS
    ]
    head = (
        "For comparison, **the paper's own** figures (arXiv 2511.05442; not measured here): how "
        "many times fewer FLOPs its APP takes than its dense path patching:\n\n"
    )
    return head + table(["task", *PAPER_MODELS], rows) if rows else ""


def table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; all columns but the first aligned to the right."""
    lines = ["| " + " | ".join(titles) + " |", "|---" + "|--:" * (len(titles) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])
