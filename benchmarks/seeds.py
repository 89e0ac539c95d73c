"""How APP's circuit and its agreement with dense path patching vary with the seed of the prompts.

python -m benchmarks.seeds [--task ioi] [--seeds 10] [--n-prompts 16] [--write]

For every task and seed, a dense search and APP on the same prompts, both verified, saved under
`--runs` as soon as they are done: interrupted or run again, it goes on from there. Tasks that were
measured before stay, whatever the number of their prompts. About half a minute for a task, a seed
and a prompt on one core; 40 MB of disk for each seed of a task.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.machine import describe_machine
from benchmarks.publish import Write, kept, publish
from benchmarks.tables import spread, table
from circuits import DiscoveryConfig, discover_seeds, load_model
from circuits.forward import TransformerBridge
from circuits.model import DEFAULT_MODEL
from circuits.runtime.progress import Progress
from circuits.tasks import get_task, list_tasks

RESULTS = Path(__file__).parent / "results" / "seeds.json"
RUNS = Path("runs") / "seeds"
DENSE = "path-patching"
PAPER = {
    "ioi": (0.56, 0.54),
    "greater-than": (0.79, 0.70),
    "gendered-pronouns": (0.95, 0.58),
    "induction": (0.57, 0.63),
    "docstring": (0.92, 0.71),
}
"""APP (arXiv 2511.05442) on GPT-2 large: precision and recall of heads against its own dense path
patching, in the authors' notebook."""
Row = Mapping[str, Any]
_RATES = ("head precision", "head recall", "edge precision", "edge recall")


def measure_task(
    bridge: TransformerBridge, name: str, seeds: int, config: DiscoveryConfig, runs: Path
) -> dict[str, Any]:
    """All figures of one task, with the dense searches beside them."""
    say = Console(stderr=True).print
    study = discover_seeds(
        bridge,
        get_task(name),
        seeds=seeds,
        config=config,
        against=DENSE,
        directory=runs / name,
        progress=Progress(notes=lambda line: say(f"{name}: {line}")),
    )
    study.save(runs / name)
    return {"n_prompts": config.n_prompts, **study.to_dict(), "machine": describe_machine()}


def markdown(measured: Row) -> str:
    """One row for each task, their means, and where the figures come from."""
    tasks: Row = measured["tasks"]
    own: dict[str, Callable[[Row], str]] = {
        "prompts": lambda task: str(task["n_prompts"]),
        "performance, %": lambda task: spread(_values(task, "performance"), "{:.1f}"),
        "dense": lambda task: spread(_values(task, "performance", "against"), "{:.1f}"),
        "heads": lambda task: spread(_values(task, "heads"), "{:.1f}"),
        "dense heads": lambda task: spread(_values(task, "heads", "against"), "{:.1f}"),
        "edges": lambda task: spread(_values(task, "edges"), "{:.1f}"),
        "dense edges": lambda task: spread(_values(task, "edges", "against"), "{:.1f}"),
        "sparsity": lambda task: spread(_values(task, "sparsity"), "{:.3f}"),
    }
    columns = own | {
        rate: lambda task, rate=rate: spread(_values(task, rate), "{:.2f}") for rate in _RATES
    }
    paper = "the paper's APP, GPT-2 large: head precision / recall"
    lines = [
        [name, *(cell(task) for cell in columns.values()), _published(name)]
        for name, task in tasks.items()
    ]
    if len(lines) > 1:
        means = [_mean_over(tasks.values(), rate) for rate in _RATES]
        lines.append(["mean", *[""] * len(own), *means, ""])
    machines = [task["machine"] for task in tasks.values()]
    commits = ", ".join(sorted({machine["commit"] for machine in machines}))
    return (
        f"{table(['task', *columns, paper], lines)}\n\n"
        f"{measured['model']}: APP against dense path patching (*dense*) on the same prompts, both "
        f"swept and verified with the default settings; mean ± SD "
        f"over {measured['seeds']} seeds. Torch {machines[0]['torch']}, commit {commits}."
    )


def _published(task: str) -> str:
    return "{:.2f} / {:.2f}".format(*PAPER[task]) if task in PAPER else ""


def _values(task: Row, figure: str, of: str | None = None) -> list[float]:
    """A figure of every seed that has it."""
    runs = [run if of is None else run[of] for run in task["runs"]]
    values = (run["figures"][figure] for run in runs)
    return [value for value in values if value is not None]


def _mean_over(tasks: Collection[Row], rate: str) -> str:
    """Of the tasks' means."""
    known = [mean for task in tasks if (mean := task["figures"][rate]["mean"]) is not None]
    return f"{fmean(known):.2f}" if known else "none"


def main(
    task: Annotated[list[str] | None, typer.Option(help="A task to measure; all without.")] = None,
    model: str = DEFAULT_MODEL,
    seeds: int = 10,
    n_prompts: int = 16,
    runs: Path = RUNS,
    out: Path = RESULTS,
    write: Write = False,
) -> None:
    """Measure some tasks or all, and write the figures as JSON and as a table."""
    about = {"model": model, "seeds": seeds}
    known, bridge = kept(out, about).get("tasks", {}), load_model(model)
    measured: dict[str, Any] = {**about, "tasks": known}
    for name in task or list_tasks():
        known[name] = measure_task(
            bridge, name, seeds, DiscoveryConfig("app", n_prompts=n_prompts), runs
        )
        measured["tasks"] = {t: known[t] for t in list_tasks() if t in known}
        publish(measured, out, "", None)
    publish(measured, out, markdown(measured), "seeds table" if write else None)


if __name__ == "__main__":
    typer.run(main)
