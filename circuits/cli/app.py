"""The commands and their options; what they do is in `actions`, which is slow to import."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from circuits.cli import options, saved_options
from circuits.cli.console import out
from circuits.cli.errors import OneSentenceErrors
from circuits.cli.shared import takes_search_options

app = typer.Typer(
    name="circuits",
    cls=OneSentenceErrors,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)


def main() -> None:
    """Run the command line and exit."""
    app()


def _examples(*lines: str) -> str:
    # typer keeps the line breaks of a paragraph that starts with a backspace.
    return "\b\n" + "\n".join(("[dim]Examples[/dim]", *(f"  {line}" for line in lines)))


def _print_version(wanted: bool) -> bool:
    if wanted:
        out.print(f"circuits {metadata.version('accelerated-path-patching')}")
        raise typer.Exit
    return wanted


@app.callback(
    epilog=_examples("circuits tasks", "circuits discover ioi --out runs/ioi"),
)
def _start(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and every library's warnings.")
    ] = False,
) -> None:
    """Find the attention heads, and the paths between them, that carry out a task."""


@app.command(
    epilog=_examples(
        "circuits discover ioi --out runs/ioi",
        "circuits discover ioi --out runs/ioi --resume",
        "circuits discover greater-than --model gpt2 --method path-patching --json",
    )
)
@takes_search_options()
def discover(task: options.TaskName, *, given: dict[str, Any]) -> None:
    """Find the circuit of a task in a model."""
    from circuits.cli.searches import Asked, discover

    discover(Asked(task, given))


@app.command(
    epilog=_examples(
        "circuits grid ioi --out runs/ioi-grid",
        "circuits grid ioi --thresholds 1.5,2,2.5 --min-effects 0.01 --keep 90",
    )
)
@takes_search_options("threshold", "min_effect")
def grid(
    task: options.TaskName,
    *,
    thresholds: options.Thresholds = "1,1.5,2,2.5",
    min_effects: options.MinEffects = "0.001,0.002,0.01,0.02",
    keep: options.Keep = 75.0,
    given: dict[str, Any],
) -> None:
    """Find a circuit for every combination of thresholds, and choose the smallest good one."""
    from circuits.cli.searches import Asked, grid

    grid(Asked(task, given), thresholds, min_effects, keep)


@app.command(
    epilog=_examples(
        "circuits study ioi --out runs/ioi-study", "circuits study ioi --trials 200 --keep 90"
    )
)
@takes_search_options(
    "threshold", "logits_threshold", "min_effect", "cliff", "score_share", "full_curve"
)
def study(
    task: options.TaskName,
    *,
    trials: options.TrialCount = 50,
    keep: options.Keep = 75.0,
    given: dict[str, Any],
) -> None:
    """Search thresholds and pruning with Optuna, and choose the smallest good circuit."""
    from circuits.cli.searches import Asked
    from circuits.cli.studies import study

    study(Asked(task, given), trials, keep)


@app.command(epilog=_examples("circuits tasks", "circuits tasks ioi --model gpt2"))
def tasks(
    task: Annotated[
        str | None, typer.Argument(metavar="TASK", help="Try a model on this task.")
    ] = None,
    n_prompts: options.TestedPromptCount = 64,
    seed: options.Seed = None,
    metric: options.Metric = None,
    model: options.Model = None,
    device: options.Device = None,
    dtype: options.DataType = None,
    json: options.Json = False,
) -> None:
    """List the tasks, or show how well a model does one."""
    from circuits.cli import actions

    if task is None:
        actions.list_tasks(json)
    else:
        source = actions.ModelSource(model, device, dtype)
        actions.try_task(task, source, n_prompts, seed or 0, metric or "logit_diff", json)


@app.command(epilog=_examples("circuits models", "circuits discover ioi --model ./my-checkpoint"))
def models(json: options.Json = False) -> None:
    """List the models known by name, and say which others can be given."""
    from circuits.cli.actions import list_models

    list_models(json)


@app.command(
    epilog=_examples(
        "circuits evaluate runs/ioi",
        "circuits evaluate runs/ioi --n-prompts 256 --ranking signed --json",
        "circuits evaluate runs/ioi --prompts discovery --model ./gpt2",
    )
)
def evaluate(
    run: saved_options.Run,
    prompts: saved_options.EvaluatedPrompts = None,
    n_prompts: saved_options.EvaluatedPromptCount = None,
    seed: saved_options.EvaluatedSeed = None,
    ranking: saved_options.HeadRanking = "both",
    score: saved_options.HeadScore = None,
    curve_ablation: saved_options.CurveAblation = None,
    confidence: saved_options.Confidence = None,
    n_resamples: saved_options.ResampleCount = None,
    threads: options.Threads = None,
    model: saved_options.SavedModel = None,
    device: options.Device = None,
    save: saved_options.KeepEvaluation = True,
    json: options.Json = False,
) -> None:
    """Evaluate a saved circuit: what it keeps alone, and what the model loses without it."""
    from circuits.cli.actions import ModelSource, evaluate

    settings = {
        "prompts": prompts,
        "n_prompts": n_prompts,
        "seed": seed,
        "score": score,
        "curve_ablation": curve_ablation,
        "confidence": confidence,
        "n_resamples": n_resamples,
    }
    source = ModelSource(model, device, None, threads)
    evaluate(run, source, settings, ranking, keep=save, as_json=json)


@app.command(
    epilog=_examples(
        "circuits compare runs/ioi runs/ioi-exact",
        "circuits compare runs/ioi published.json",
        "circuits compare runs/greater-than greater-than-smollm2-135m",
    )
)
def compare(
    run: saved_options.Run, reference: saved_options.ComparedWith, json: options.Json = False
) -> None:
    """Compare a circuit with a reference, and with what chance would do."""
    from circuits.cli.comparisons import compare

    compare(Path(run), reference, json)


@app.command(
    epilog=_examples(
        "circuits report runs/ioi",
        "circuits report runs/ioi runs/ioi-exact --output comparison.html",
    )
)
def report(runs: saved_options.Runs, output: saved_options.ReportFile = None) -> None:
    """Write runs, and how their circuits compare, as one HTML page that needs no network."""
    from circuits.cli.pages import report

    report(runs, output)


@app.command(epilog=_examples("circuits references", "circuits references ioi-gpt2"))
def references(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show this one.")] = None,
    json: options.Json = False,
) -> None:
    """List published circuits and ours, or show one with its roles and source."""
    from circuits.cli.comparisons import references

    references(name, json)
