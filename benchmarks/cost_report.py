"""The figures of benchmarks.cost as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.tables import table

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
METHODS = {"dense": "dense", "app": "APP"}
_SEARCHES = tuple((method, kind) for method in METHODS for kind in ("swept", "verified"))
STAGES = ("behaviour", "means", "pruning", "sweep", "verification", "evaluation")


def markdown(measured: Row) -> str:
    """All tables."""
    tasks: Row = measured["tasks"]
    parts = [
        _costs(tasks),
        _source(measured),
        _profiles(tasks),
        _circuits(tasks),
        _agreement(tasks),
        _grids(tasks),
        _paper(tasks),
    ]
    return "\n\n".join(part for part in parts if part)


def total(search: Row) -> int:
    """FLOPs of a search, all stages."""
    return sum(search["flops"].values())


def passes(of: Row, flops: float) -> str:
    """FLOPs in forward passes over the same prompts."""
    return f"{flops / of['forward_pass_flops']:,.0f}"


def _costs(tasks: Row) -> str:
    def search(method: str, kind: str) -> Callable[[Row], str]:
        return lambda task: passes(task, total(task[method][kind]))

    def factor(method: str) -> Callable[[Row], str]:
        def times(task: Row) -> str:
            own = total(task[method]["verified"]) / task["forward_pass_flops"]
            fewest, most = task["naive_passes"], task["naive_passes_all_receivers"]
            return f"{fewest / own:,.0f} / {most / own:,.0f}"

        return times

    columns: dict[str, Callable[[Row], str]] = {
        "naive, receivers reached / all": lambda task: (
            f"{task['naive_passes']:,} / {task['naive_passes_all_receivers']:,}"
        ),
        "exact, receivers reached": lambda task: passes(task, task["exact_flops"]),
        "dense swept": search("dense", "swept"),
        "dense verified": search("dense", "verified"),
        "APP swept": search("app", "swept"),
        "APP verified": search("app", "verified"),
        "naive / dense verified": factor("dense"),
        "naive / APP verified": factor("app"),
    }
    head = "Cost in forward passes over the same prompts, all stages included:\n\n"
    rows = [[name, *(show(task) for show in columns.values())] for name, task in tasks.items()]
    return head + table(["task", *columns], rows)


def _source(measured: Row) -> str:
    tasks: Row = measured["tasks"]
    machines = [task["machine"] for task in tasks.values()]
    counts = ", ".join(sorted({str(task["n_prompts"]) for task in tasks.values()}))
    commits = ", ".join(sorted({machine["commit"] for machine in machines}))
    first = machines[0]
    return (
        "Naive: two forward passes for every sender of every receiver (of those that the dense "
        "verified search reached, or all that the sweep estimates), not run. Exact: the measured "
        "cost of one path of each receiver times its senders, not run for the cost. All others: "
        "FLOPs executed, by FlopCounterMode; searches of one task share a sweep and are each "
        f"charged with it. {measured['model']}, {counts} prompts, seed 0; {first['processor']}, "
        f"{_threads(first)}, torch {first['torch']}. Measured on commit {commits}."
    )


def _threads(machine: Row) -> str:
    count = machine["threads"]
    return f"{count} thread{'' if count == 1 else 's'}"


def _profiles(tasks: Row) -> str:
    rows = []
    for name, task in tasks.items():
        for method, title in METHODS.items():
            found = task[method]["verified"]
            checked = found["verification"]
            rows.append(
                [
                    f"{name}, {title}",
                    *(f"{found['flops'][s] / task['forward_pass_flops']:.1f}" for s in STAGES),
                    f"{checked['verified']} ({checked['sampled']})",
                    checked["flipped"],
                    f"{checked['largest_error']:.3f}",
                    f"{found['seconds']:.0f}",
                    f"{found['peak_memory_bytes'] / 2**30:.1f}",
                ]
            )
    titles = [
        "verified search",
        *STAGES,
        "paths verified (sampled)",
        "flipped",
        "largest error",
        "seconds",
        "GiB, most of the process so far",
    ]
    return "Where the forward passes go:\n\n" + table(titles, rows)


def _circuits(tasks: Row) -> str:
    rows = []
    for name, task in tasks.items():
        searches = [task[method][kind] for method, kind in _SEARCHES]
        shown = [
            f"{found['heads']}, {found['edges']}, {found['performance']:.1f} %"
            for found in searches
        ]
        rows.append([name, task["app"]["verified"]["candidates"], *shown])
    titles = ["task", "APP's candidates", *(f"{METHODS[m]} {kind}" for m, kind in _SEARCHES)]
    return "Heads, edges and performance of what they find:\n\n" + table(titles, rows)


def _agreement(tasks: Row) -> str:
    def shares(found: Row, *names: str) -> str:
        return " / ".join(f"{found[name]:.2f}" for name in names)

    rows = []
    for name, task in tasks.items():
        if not (found := task.get("agreement")):
            continue
        bound = found["bound"]
        rows.append(
            [
                name,
                found["n_prompts"],
                f"{found['heads']}, {found['edges']}, {found['performance']:.1f} %",
                shares(found["dense swept"], "jaccard", "edge_jaccard"),
                shares(found["dense verified"], "jaccard", "edge_jaccard"),
                shares(found["app swept"], "jaccard", "precision", "recall"),
                shares(found["app verified"], "jaccard", "precision", "recall"),
                f"{bound['bound']:.3f} / {bound['largest_effect_left_out']:.3f}",
                f"{bound['paths_left_out']:,}: {bound['share_within']:.2%} "
                f"({bound['coverage']:.0%})",
            ]
        )
    titles = [
        "task",
        "prompts",
        "exact circuit",
        "dense swept: Jaccard of heads / edges",
        "dense verified: Jaccard of heads / edges",
        "APP swept: Jaccard / precision / recall",
        "APP verified: Jaccard / precision / recall",
        "bound on what is left out unverified / largest such effect",
        "paths left out unverified: within the bound (at least, with 95 % confidence)",
    ]
    head = "Agreement with exact path patching among all heads (`benchmarks.exact`):\n\n"
    return head + table(titles, rows) if rows else ""


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
        costs = [passes(grid, grid[kind]) for kind in ("widest_flops", "grid_flops")]
        ratio = f"{grid['grid_flops'] / grid['widest_flops']:.2f}"
        evaluation = passes(grid, grid["evaluation_flops"])
        rows.append([name, grid["n_prompts"], *costs, ratio, evaluation, shown])
    titles = [
        "task",
        "prompts",
        "widest run",
        "16-point grid",
        "ratio",
        "evaluation of 16 circuits",
        "smallest circuit that keeps 75 %",
    ]
    head = "The published grid by APP, verified, in forward passes, evaluation aside:\n\n"
    return head + table(titles, rows)


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
