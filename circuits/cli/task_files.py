"""What `circuits tasks check` and `export` do."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from circuits.behaviour import Behaviour, measure_behaviour
from circuits.cli import listings, reports, tables
from circuits.cli.actions import SHOWN_PROMPTS, ModelSource, answers_to
from circuits.cli.console import out, print_json, print_note, print_warning
from circuits.cli.errors import FAILED, UsageError, usage_errors
from circuits.cli.progress import LOADING, show_progress
from circuits.cli.saving import check_output_file, write_output
from circuits.discovery.run import STAGES
from circuits.metrics import get_metric
from circuits.model import DEFAULT_MODEL, load_tokenizer, tokenizer_of
from circuits.tasks import RowReport, RowTask, get_task, open_task
from circuits.tasks.tables import checked_suffix, pairs_to_bytes


def check(
    spec: str,
    source: ModelSource,
    n_prompts: int,
    seed: int,
    metric: str,
    usable: Path | None,
    as_json: bool,
) -> None:
    """Print which rows can be used and how well a model does them; exit with 1 where not all can.

    Rows that can be used are written to `usable`.
    """
    check_output_file(usable, "--usable")
    with usage_errors():
        if usable is not None:
            checked_suffix(usable)
        if n_prompts < 1:
            raise UsageError(f"--n-prompts must be at least 1, got {n_prompts}")
        measure, task = get_metric(metric), open_task(spec, strict=False)
    behaviour, answers = None, []
    with show_progress((LOADING, STAGES[0])) as progress:
        bridge = source.load(progress)
        report = task.check(tokenizer_of(bridge))
        if report.usable:
            pairs = task.usable_pairs(tokenizer_of(bridge), n_prompts, seed)
            behaviour = measure_behaviour(
                bridge, pairs, measure, progress=progress.stage(STAGES[0])
            )
            answers = answers_to(bridge, pairs[:SHOWN_PROMPTS])
    model = source.name or DEFAULT_MODEL
    if as_json:
        print_json(_report(task, report, behaviour, model, metric))
    else:
        out.print(_rows(report, f"{spec} on {model}"))
        if behaviour is not None:
            out.print(listings.trial(behaviour, answers, "How the model does", metric))
    _warn(report, behaviour, f"{spec} on {model}")
    if usable is not None:
        _write_usable(task, report, usable)
    if report.problems:
        raise typer.Exit(FAILED)


def export(name: str, output: Path, n_prompts: int, seed: int, model: str | None) -> None:
    """Write pairs of a task to a file."""
    check_output_file(output)
    with usage_errors():
        checked_suffix(output)
        if n_prompts < 1:
            raise UsageError(f"--n-prompts must be at least 1, got {n_prompts}")
        task = get_task(name)
    pairs = task.text_pairs(load_tokenizer(model or DEFAULT_MODEL), n_prompts, seed)
    write_output(output, pairs_to_bytes(pairs, output))
    print_note(f"{len(pairs)} prompt pairs of {task.name} were written to {output}")


def _rows(report: RowReport, title: str) -> RenderableType:
    bad = {problem.row for problem in report.problems} - {None}
    counts = {
        "rows": f"{report.n_rows:,}",
        "can be used": f"{len(report.usable):,}",
        "cannot": f"{len(bad):,}",
    }
    table = tables.plain_table(">row", "problem")
    for problem in report.problems:
        table.add_row("all" if problem.row is None else str(problem.row), Text(problem.message))
    problems = tables.section("Problems", table) if report.problems else ()
    return Group(*tables.section(title, tables.figures(counts)), *problems)


def _report(
    task: RowTask, report: RowReport, behaviour: Behaviour | None, model: str, metric: str
) -> reports.Report:
    done = None if behaviour is None else reports.behaviour(behaviour, task.name, model, metric)
    return {
        "task": task.spec,
        "digest": task.digest,
        "n_rows": report.n_rows,
        "n_usable": len(report.usable),
        "problems": [asdict(problem) for problem in report.problems],
        "uneven_templates": list(report.uneven_templates),
        "behaviour": done,
    }


def _warn(report: RowReport, behaviour: Behaviour | None, title: str) -> None:
    if report.uneven_templates:
        labels = ", ".join(map(str, report.uneven_templates))
        print_warning(
            f"prompts of one template differ in length ({labels}): means over them mix positions; "
            "give each length its own template, or leave the column out"
        )
    if behaviour is not None and behaviour.weakness:
        print_warning(f"a circuit for {title} would mean little: {behaviour.weakness}")


def _write_usable(task: RowTask, report: RowReport, path: Path) -> None:
    pairs = [pair.text for pair in report.usable]
    content = pairs_to_bytes(pairs, path, with_templates=task.table.has_templates)
    write_output(path, content, "--usable")
    print_note(f"{len(pairs)} rows that can be used were written to {path}")
