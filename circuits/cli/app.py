"""The commands and their options; what they do is in `actions`, which is slow to import."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from circuits.cli import exchange_commands, options, saved_options, search_options, task_commands
from circuits.cli.console import out
from circuits.cli.epilogs import examples as _examples
from circuits.cli.errors import OneSentenceErrors
from circuits.cli.shared import takes_search_options

app = typer.Typer(
    name="circuits",
    cls=OneSentenceErrors,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)
bench = typer.Typer(rich_markup_mode="rich", no_args_is_help=True)
app.add_typer(bench, name="bench", help="Measure the methods themselves.")
app.add_typer(task_commands.app, name="tasks")


def main() -> None:
    """Run the command line and exit."""
    app()


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
    thresholds: search_options.Thresholds = "1,1.5,2,2.5",
    min_effects: search_options.MinEffects = "0.001,0.002,0.01,0.02",
    keep: search_options.Keep = 75.0,
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
    trials: search_options.TrialCount = 50,
    keep: search_options.Keep = 75.0,
    given: dict[str, Any],
) -> None:
    """Search thresholds and pruning with Optuna, and choose the smallest good circuit."""
    from circuits.cli.searches import Asked
    from circuits.cli.studies import study

    study(Asked(task, given), trials, keep)


@app.command(
    epilog=_examples(
        "circuits seeds ioi --seeds 10 --out runs/ioi-seeds",
        "circuits seeds ioi --against path-patching --out runs/ioi-seeds --resume",
        "circuits seeds ioi --templates 4 --against ioi-smollm2-135m --json",
    )
)
@takes_search_options()
def seeds(
    task: options.TaskName,
    *,
    seeds: search_options.SeedCount = 10,
    against: search_options.Against = None,
    given: dict[str, Any],
) -> None:
    """Repeat a discovery over seeds, and show how much of it depends on them.

    The seeds begin with --seed, which is also the one that is told apart from the others.
    """
    from circuits.cli.searches import Asked
    from circuits.cli.seeds import seeds as repeat

    repeat(Asked(task, given), seeds, against)


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
        "circuits evaluate theirs.json --task ioi --model gpt2",
    )
)
def evaluate(
    run: saved_options.EvaluatedRun,
    task: saved_options.EvaluatedTask = None,
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
    from circuits.cli.actions import ModelSource
    from circuits.cli.evaluating import evaluate

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
    evaluate(run, task, source, settings, ranking, keep=save, as_json=json)


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
        "circuits roles runs/ioi",
        "circuits roles ioi-smollm2-135m --n-prompts 64",
        "circuits roles theirs.json --task ioi --model gpt2 --json",
    )
)
def roles(
    circuit: saved_options.AnyCircuit,
    task: saved_options.ReadTask = None,
    n_prompts: saved_options.ReadPromptCount = None,
    seed: saved_options.ReadSeed = None,
    attention: saved_options.NamingAttention = None,
    direct: saved_options.NamingShare = None,
    threads: options.Threads = None,
    model: saved_options.SavedModel = None,
    device: options.Device = None,
    json: options.Json = False,
) -> None:
    """Show what the heads of a circuit look at and write, and names for them by that."""
    from circuits.cli.actions import ModelSource
    from circuits.cli.roles import Prompts, roles

    source = ModelSource(model, device, None, threads)
    rule = {"attention": attention, "direct": direct}
    roles(circuit, Prompts(task, n_prompts, seed), source, rule, json)


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


@bench.command(
    epilog=_examples(
        "circuits bench truth --out runs/truth",
        "circuits bench truth --out runs/truth --model hand-ioi",
    )
)
def truth(
    out: options.RowsOut,
    model: options.TruthModels = None,
    seed: options.Seed = None,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Run every method on small models whose circuits are known by construction."""
    from circuits.cli.truths import bench_truth

    bench_truth(model, out, seed or 0, threads, json)


exchange_commands.add_to(app)
