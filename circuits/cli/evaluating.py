"""The `evaluate` command, for saved runs and for circuits from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from circuits.cli import evaluations, reports
from circuits.cli.actions import ModelSource
from circuits.cli.console import out, print_json, print_warning
from circuits.cli.errors import UsageError, usage_errors
from circuits.cli.evaluations import Subject
from circuits.cli.progress import LOADING, show_progress
from circuits.cli.reading import read_circuit_file
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.result import Discovery
from circuits.evaluation import (
    Evaluation,
    EvaluationConfig,
    Evaluator,
    SavedEvaluation,
    choose_scores,
    evaluate_circuit,
    sample_size,
)
from circuits.evaluation.config import RANKINGS
from circuits.model import DEFAULT_MODEL, tokenizer_of
from circuits.tasks import Task, get_task

_EVALUATION = "evaluation"
_OF_RUNS = ("prompts", "score", "curve_ablation")


def evaluate(
    path: Path,
    task: str | None,
    source: ModelSource,
    options: Mapping[str, Any],
    ranking: str,
    *,
    keep: bool,
    as_json: bool,
) -> None:
    """Print all figures of a circuit, and keep those of a run; `options` are the settings."""
    given = {name: value for name, value in options.items() if value is not None}
    with usage_errors():
        chosen: dict[str, Any] = {"rankings": RANKINGS if ranking == "both" else (ranking,)}
        config = EvaluationConfig(**given, **chosen)
        own = None if task is None else get_task(task)
    if path.is_file():
        if unused := [f"--{name.replace('_', '-')}" for name in _OF_RUNS if name in given]:
            raise UsageError(f"{', '.join(unused)} is for runs; {path} holds a circuit alone")
        evaluation, subject = _of_circuit(path, own, source, config)
    else:
        evaluation, subject = _of_run(path, own, source, config)
    if as_json:
        print_json(reports.evaluation(evaluation, subject))
    else:
        out.print(evaluations.evaluation(evaluation, subject))
    if keep and not path.is_file():
        _keep(SavedEvaluation.of(subject.circuit, config, evaluation), path)


def _of_run(
    run: Path, task: Task | None, source: ModelSource, config: EvaluationConfig
) -> tuple[Evaluation, Subject]:
    """Evaluate a saved run."""
    found = Discovery.load(run)
    with usage_errors():
        choose_scores(found.effects, found.scores, config.score)
    saved = found.provenance.model
    source = replace(source, name=source.name or saved.name, dtype=saved.dtype)
    with show_progress((LOADING, _EVALUATION)) as progress:
        bridge = source.load(progress)
        evaluation = found.evaluate(bridge, task, config, progress.stage(_EVALUATION))
    shown = found.provenance.task if task is None else task.spec or task.name
    metric = found.config.metric
    return evaluation, Subject(found.circuit, shown, saved.name, metric, evaluation.prompts)


def _of_circuit(
    path: Path, task: Task | None, source: ModelSource, config: EvaluationConfig
) -> tuple[Evaluation, Subject]:
    """Evaluate a circuit from elsewhere: nothing is known of what it was found on."""
    circuit = read_circuit_file(path)
    if task is None:
        raise UsageError(
            f"{path} holds a circuit alone: add --task, and --model where it is not the default"
        )
    defaults = DiscoveryConfig()
    with show_progress((LOADING, _EVALUATION)) as progress:
        bridge = source.load(progress)
        part = progress.stage(_EVALUATION)
        n = sample_size(task, config.n_prompts, defaults.n_mean_prompts)
        everything = task.sample(tokenizer_of(bridge), n=n, seed=config.seed or 0)
        evaluator = Evaluator(bridge, everything[: config.n_prompts], everything)
        evaluation = evaluate_circuit(
            circuit,
            evaluator,
            config=config,
            progress=part,
        )
    model = source.name or DEFAULT_MODEL
    return evaluation, Subject(circuit, task.spec or task.name, model, defaults.metric, None)


def _keep(evaluation: SavedEvaluation, run: Path) -> None:
    """Save it with the run; where that cannot be, it was printed, so a warning will do."""
    try:
        evaluation.save(run)
    except OSError as error:
        print_warning(f"the evaluation could not be kept in {run} ({error.strerror or error})")
