"""`circuits tasks`: list them, try a model on one, check and write files of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from circuits.cli import options
from circuits.cli.errors import FAILED, UsageError, usage_errors
from circuits.cli.inputs import ModelSource
from circuits.cli.terminal import out, print_json, print_note
from circuits.metrics.registry import METRICS
from circuits.runtime.sizes import MOST_PROMPTS
from circuits.tasks import get_task, list_tasks

_DEFAULT = "show"
_METRICS = ", ".join(METRICS.names())
PromptCount = Annotated[
    int, typer.Option("--n-prompts", metavar="N", help="Prompt pairs to test the model on.")
]
Metric = Annotated[
    str, typer.Option(metavar="METRIC", help=f"{_METRICS}.", show_default="logit_diff")
]


class _ShowsByDefault(TyperGroup):
    """`circuits tasks ioi` means `circuits tasks show ioi`."""

    def parse_args(self, ctx: Any, args: Sequence[str]) -> Any:
        """Put the default command in front of what names no command."""
        first = args[0] if args else ""
        is_command = first in self.commands or first in ctx.help_option_names
        return super().parse_args(ctx, list(args) if is_command else [_DEFAULT, *args])


app = options.group(
    "tasks",
    "List the tasks, show how well a model does one, check and write files of your own.",
    "circuits tasks",
    "circuits tasks ioi --model gpt2",
    "circuits tasks check mine.jsonl --model gpt2",
    cls=_ShowsByDefault,
)


@options.subcommand(app, "circuits tasks", "circuits tasks ioi --model gpt2", name=_DEFAULT)
def show(
    task: Annotated[
        str | None, typer.Argument(metavar="TASK", help="Try a model on this task.")
    ] = None,
    n_prompts: PromptCount = 64,
    seed: options.Seed = None,
    metric: Metric = "logit_diff",
    model: options.Model = None,
    device: options.Device = None,
    dtype: options.DataType = None,
    json: options.Json = False,
) -> None:
    """List the tasks, or show how well a model does one; "show" can be left out."""
    if task is None:
        _list(json)
        return
    source = ModelSource(model, device, dtype)
    with usage_errors():
        known = get_task(task)
        METRICS.check(metric)
        _check_count(n_prompts)
        source.check()
    from circuits.cli.task_trials import try_task

    try_task(known, task, source, n_prompts, seed or 0, metric, as_json=json)


@options.subcommand(
    app,
    "circuits tasks check mine.jsonl --model gpt2",
    "circuits tasks check 'mine.csv?clean=prompt&wrong=foil' --usable mine.jsonl",
)
def check(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A JSONL or CSV file with columns clean, corrupted, correct, wrong and perhaps "
            "template; or a dataset. ?clean=NAME behind it names another column.",
        ),
    ],
    n_prompts: PromptCount = 64,
    seed: options.Seed = None,
    metric: Metric = "logit_diff",
    usable: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the rows that can be used here (.jsonl or .csv)."),
    ] = None,
    model: options.Model = None,
    device: options.Device = None,
    dtype: options.DataType = None,
    json: options.Json = False,
) -> None:
    """Say which rows of a task of your own can be used, and how well a model does them.

    Exits with 1 where a row cannot be used.
    """
    from circuits.cli.outputs import check_output_file
    from circuits.cli.task_trials import check_rows
    from circuits.tasks.sources import open_task
    from circuits.tasks.tables import checked_suffix

    source = ModelSource(model, device, dtype)
    check_output_file(usable, "--usable")
    with usage_errors():
        if usable is not None:
            checked_suffix(usable)
        _check_count(n_prompts)
        METRICS.check(metric)
        task = open_task(file, strict=False)
        source.check()
    are_all_usable = check_rows(task, source, n_prompts, seed or 0, metric, usable, as_json=json)
    if not are_all_usable:
        raise typer.Exit(FAILED)


@options.subcommand(
    app,
    "circuits tasks export ioi --out ioi.jsonl",
    "circuits tasks export docstring --out docstring.csv --n-prompts 500 --model gpt2",
)
def export(
    task: options.TaskName,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="A .jsonl or .csv file to write."),
    ],
    n_prompts: Annotated[
        int, typer.Option("--n-prompts", metavar="N", help="Prompt pairs to write.")
    ] = 64,
    seed: options.Seed = None,
    model: options.Model = None,
) -> None:
    """Write the prompt pairs of a task to a file, drawn for a model's tokenizer."""
    from circuits.cli.outputs import check_output_file, write_output
    from circuits.tasks.tables import checked_suffix, pairs_to_bytes

    source = ModelSource(model, None, None)
    check_output_file(out)
    with usage_errors():
        checked_suffix(out)
        _check_count(n_prompts)
        known = get_task(task)
        source.check()
    from circuits.cli.progress import LOADING, show_progress
    from circuits.model import load_tokenizer

    with show_progress((LOADING,)) as progress, usage_errors():
        tokenizer = load_tokenizer(source.shown, progress.stage(LOADING).note)
    pairs = known.text_pairs(tokenizer, n_prompts, seed or 0)
    write_output(out, pairs_to_bytes(pairs, out))
    print_note(f"{len(pairs)} prompt pairs of {known.name} were written to {out}")


def _list(as_json: bool) -> None:
    """Print every task with an example."""
    known = [get_task(name) for name in list_tasks()]
    if as_json:
        from circuits.cli.as_json.listings import task

        print_json([task(one) for one in known])
    else:
        from circuits.cli.tables.listings import tasks

        out.print(tasks(known))


def _check_count(n_prompts: int) -> None:
    if not 1 <= n_prompts <= MOST_PROMPTS:
        raise UsageError(
            f"--n-prompts must be at least 1 and at most {MOST_PROMPTS}, got {n_prompts}"
        )


COMMANDS = {"tasks": get_command(app)}
