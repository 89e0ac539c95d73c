"""How a model does a task, and which rows of one can be used: what `circuits tasks` runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from circuits.behaviour import Behaviour, answer_logits, measure_behaviour
from circuits.cli.as_json.results import behaviour as plain_behaviour
from circuits.cli.inputs import ModelSource
from circuits.cli.outputs import write_output
from circuits.cli.progress import LOADING, show_progress
from circuits.cli.tables import basics as tables
from circuits.cli.tables.behaviour import Answer, trial
from circuits.cli.terminal import out, print_json, print_note, print_warning
from circuits.discovery.pipeline import STAGES
from circuits.errors import CircuitsError, shortened
from circuits.forward import TransformerBridge
from circuits.forward.extraction import vocabulary_of
from circuits.forward.prompts import readable
from circuits.metrics import get_metric
from circuits.model import tokenizer_of
from circuits.runtime.progress import Progress
from circuits.tasks import PromptPairs, RowReport, RowTask, Task
from circuits.tasks.tables import pairs_to_bytes

_SHOWN_PROMPTS = 4
_LONGEST_PROBLEM = 1000


def try_task(
    task: Task,
    shown: str,
    source: ModelSource,
    n_prompts: int,
    seed: int,
    metric: str,
    *,
    as_json: bool,
) -> None:
    """Print how well a model does a task; `shown` is what the task is called."""
    with show_progress((LOADING, STAGES[0])) as progress:
        bridge = source.load(progress)
        n = min(n_prompts, task.n_pairs or n_prompts)
        pairs = task.sample(tokenizer_of(bridge), n=n, seed=seed)
        behaviour, answers = _tried(bridge, pairs, metric, progress)
    title = f"{shown} on {source.shown}"
    if as_json:
        print_json(plain_behaviour(behaviour, shown, source.shown, metric))
    else:
        out.print(trial(behaviour, answers, title, metric))
    _warn_of_weakness(behaviour, title)


def check_rows(
    task: RowTask,
    source: ModelSource,
    n_prompts: int,
    seed: int,
    metric: str,
    usable: Path | None,
    *,
    as_json: bool,
) -> bool:
    """Print which rows can be used and how well a model does them; whether all can.

    Rows that can be used are written to `usable`. What keeps the model from being tried on them is
    raised behind all that.
    """
    behaviour, answers, problem = None, [], None
    with show_progress((LOADING, STAGES[0])) as progress:
        bridge = source.load(progress)
        tokenizer, n_tokens = tokenizer_of(bridge), min(vocabulary_of(bridge))
        report = task.check(tokenizer, n_tokens)
        if report.usable:
            pairs = task.usable_pairs(tokenizer, n_prompts, seed, n_tokens)
            try:
                behaviour, answers = _tried(bridge, pairs, metric, progress)
            except CircuitsError as error:
                # What is known of the rows is told all the same.
                problem = error
    title = f"{task.spec} on {source.shown}"
    if as_json:
        print_json(_plain(task, report, behaviour, source.shown, metric))
    else:
        out.print(_rows(report, title))
        if behaviour is not None:
            out.print(trial(behaviour, answers, "How the model does", metric))
    _warn(report, behaviour, title)
    if usable is not None:
        _write_usable(task, report, usable)
    if problem is not None:
        raise problem
    return not report.problems


def _tried(
    bridge: TransformerBridge, pairs: PromptPairs, metric: str, progress: Progress
) -> tuple[Behaviour, list[Answer]]:
    part = progress.stage(STAGES[0])
    behaviour = measure_behaviour(bridge, pairs, get_metric(metric), progress=part)
    return behaviour, _answers(bridge, pairs)


def _answers(bridge: TransformerBridge, pairs: PromptPairs) -> list[Answer]:
    """What the model says to the first few prompts, and whether that is correct."""
    tokenizer = tokenizer_of(bridge)
    pairs = readable(bridge, pairs[:_SHOWN_PROMPTS])
    said = answer_logits(bridge, pairs.clean, pairs).argmax(-1)
    right = (said[:, None] == pairs.correct).any(1)
    return [
        Answer(prompt, str(tokenizer.decode([token])), is_right)
        for prompt, token, is_right in zip(
            pairs.clean_text, said.tolist(), right.tolist(), strict=True
        )
    ]


def _rows(report: RowReport, title: str) -> RenderableType:
    bad = {problem.row for problem in report.problems} - {None}
    counts = {
        "rows": f"{report.n_rows:,}",
        "can be used": f"{len(report.usable):,}",
        "cannot": f"{len(bad):,}",
    }
    table = tables.plain_table(">row", "problem")
    for problem in report.problems:
        message = Text(shortened(problem.message, _LONGEST_PROBLEM))
        table.add_row("all" if problem.row is None else str(problem.row), message)
    problems = tables.section("Problems", table) if report.problems else ()
    return Group(*tables.section(title, tables.figures(counts)), *problems)


def _plain(
    task: RowTask, report: RowReport, behaviour: Behaviour | None, model: str, metric: str
) -> dict[str, Any]:
    done = None if behaviour is None else plain_behaviour(behaviour, task.name, model, metric)
    return {
        "task": task.spec,
        "digest": task.digest,
        "n_rows": report.n_rows,
        "n_usable": len(report.usable),
        "problems": [asdict(problem) for problem in report.problems],
        "uneven_templates": list(report.uneven_templates),
        "doubts": list(report.doubts),
        "behaviour": done,
    }


def _warn(report: RowReport, behaviour: Behaviour | None, title: str) -> None:
    for doubt in report.doubts:
        print_warning(doubt)
    if behaviour is not None:
        _warn_of_weakness(behaviour, title)


def _warn_of_weakness(behaviour: Behaviour, title: str) -> None:
    if behaviour.weakness:
        print_warning(f"a circuit for {title} would mean little: {behaviour.weakness}")


def _write_usable(task: RowTask, report: RowReport, path: Path) -> None:
    pairs = [pair.text for pair in report.usable]
    content = pairs_to_bytes(pairs, path, with_templates=task.table.has_templates)
    write_output(path, content, "--usable")
    print_note(f"{len(pairs)} rows that can be used were written to {path}")
