"""`circuits evaluate`: all figures of a saved run's circuit, or of one from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from circuits.cli import options
from circuits.cli.errors import UsageError, usage_errors
from circuits.cli.inputs import ModelSource, read_circuit_file
from circuits.cli.progress import LOADING, show_progress
from circuits.cli.setting_options import flag_of, takes_settings
from circuits.cli.terminal import out, print_json, print_warning
from circuits.cli.worker_options import Executor, WorkerCount, asked_workers
from circuits.errors import FormatError, InputError
from circuits.evaluation.config import RANKINGS, EvaluationConfig
from circuits.runtime.workers import Workers
from circuits.tasks import Task, get_task

if TYPE_CHECKING:
    from circuits.cli.tables.evaluation import Subject
    from circuits.evaluation import Evaluation

_EVALUATION = "evaluation"
_OF_RUNS = ("prompts", "score", "curve_ablation")
Evaluated = tuple["Evaluation", "Subject"]

EvaluatedTask = Annotated[
    str | None,
    typer.Option(
        metavar="TASK",
        help="For a circuit as JSON, the task to evaluate it on; for a run, where its file is now.",
    ),
]
HeadRanking = Annotated[
    str,
    typer.Option(
        "--ranking",
        metavar="HOW",
        help="How the heads of the curve are ranked: signed (heads that work against the task "
        "last), absolute, or both, a curve for each.",
    ),
]
Keep = Annotated[
    bool,
    typer.Option(
        " /--no-save",
        show_default=False,
        help="Write nothing. Without it, the figures are kept in RUN/evaluation.json, for "
        "`circuits report`.",
        rich_help_panel="Output",
    ),
]


@takes_settings(EvaluationConfig)
def evaluate(
    run: options.Run,
    task: EvaluatedTask = None,
    *,
    ranking: HeadRanking = "both",
    threads: options.Threads = None,
    model: options.SavedModel = None,
    device: options.Device = None,
    executor: Executor = None,
    workers: WorkerCount = None,
    save: Keep = True,
    json: options.Json = False,
    given: dict[str, Any],
) -> None:
    """Evaluate a saved circuit: what it keeps alone, and what the model loses without it."""
    given = {name: value for name, value in given.items() if value is not None}
    with usage_errors():
        rankings: Any = RANKINGS if ranking == "both" else (ranking,)
        config = EvaluationConfig(**given, rankings=rankings)
        own = None if task is None else get_task(task)
        chosen = asked_workers(executor, workers, threads, device)
    source = ModelSource(model, device, None, threads)
    source.check()
    if run.is_file():
        if unused := [flag_of(name) for name in _OF_RUNS if name in given]:
            raise UsageError(f"{', '.join(unused)} is for runs; {run} holds a circuit alone")
        if chosen is not None:
            raise UsageError(f"--executor and --workers are for runs; {run} holds a circuit alone")
        evaluation, subject = _of_circuit(run, own, source, config)
    else:
        evaluation, subject = _of_run(run, own, source, config, chosen)
    _print(evaluation, subject, as_json=json)
    if save and not run.is_file():
        _keep(evaluation, subject, config, run)


def _of_run(
    run: Path,
    task: Task | None,
    source: ModelSource,
    config: EvaluationConfig,
    workers: Workers | None,
) -> Evaluated:
    """Evaluate a saved run."""
    from circuits.cli.tables.evaluation import Subject
    from circuits.discovery.result import Discovery
    from circuits.evaluation import choose_scores

    found = Discovery.load(run)
    if found.refusal:
        raise InputError(f"{run} has no circuit to evaluate: {found.refusal}")
    with usage_errors():
        choose_scores(found.effects, found.scores, config.score)
    saved = found.provenance.model
    source = source.or_else(saved.name, saved.dtype)
    with show_progress((LOADING, _EVALUATION)) as progress:
        bridge = source.load(progress)
        part = progress.stage(_EVALUATION)
        evaluation = found.evaluate(bridge, task, config, part, workers, run)
    shown = found.provenance.task if task is None else task.spec or task.name
    metric = found.config.metric
    return evaluation, Subject(found.circuit, shown, saved.name, metric, evaluation.prompts)


def _of_circuit(
    path: Path, task: Task | None, source: ModelSource, config: EvaluationConfig
) -> Evaluated:
    """Evaluate a circuit from elsewhere: nothing is known of what it was found on."""
    from circuits.cli.tables.evaluation import Subject
    from circuits.discovery.config import DiscoveryConfig
    from circuits.evaluation import Evaluator, evaluate_circuit, evaluation_size, sample_size
    from circuits.model import tokenizer_of

    circuit = read_circuit_file(path)
    if task is None:
        raise UsageError(
            f"{path} holds a circuit alone: add --task, and --model where it is not the default"
        )
    defaults = DiscoveryConfig()
    with show_progress((LOADING, _EVALUATION)) as progress:
        bridge = source.load(progress)
        part = progress.stage(_EVALUATION)
        n_prompts = evaluation_size(task, config.n_prompts)
        n = sample_size(task, n_prompts, defaults.n_mean_prompts)
        tokenizer = tokenizer_of(bridge)
        everything = task.sample(tokenizer, n=n, seed=config.seed or 0)
        if circuit.spans is not None:
            everything = everything.with_spans(tokenizer, circuit.spans)
        evaluator = Evaluator(bridge, everything[:n_prompts], everything)
        evaluation = evaluate_circuit(circuit, evaluator, config=config, progress=part)
    shown = task.spec or task.name
    return evaluation, Subject(circuit, shown, source.shown, defaults.metric, None)


def _print(evaluation: Evaluation, subject: Subject, *, as_json: bool) -> None:
    if as_json:
        from circuits.cli.as_json.results import evaluation as plain

        print_json(plain(evaluation, subject))
    else:
        from circuits.cli.tables.evaluation import evaluation as table

        out.print(table(evaluation, subject))


def _keep(evaluation: Evaluation, subject: Subject, config: EvaluationConfig, run: Path) -> None:
    """Save it with the run; where that cannot be, it was printed, so a warning will do."""
    from circuits.evaluation import SavedEvaluation

    try:
        SavedEvaluation.load(run)  # A file of another kind stays.
        SavedEvaluation.of(subject.circuit, config, evaluation).save(run)
    except (OSError, FormatError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        print_warning(f"the evaluation could not be kept in {run} ({reason})")


COMMANDS = {
    "evaluate": options.command(
        evaluate,
        "evaluate",
        "circuits evaluate runs/ioi",
        "circuits evaluate runs/ioi --n-prompts 256 --ranking signed --json",
        "circuits evaluate runs/ioi --prompts discovery --model ./gpt2",
        "circuits evaluate theirs.json --task ioi --model gpt2",
    )
}
