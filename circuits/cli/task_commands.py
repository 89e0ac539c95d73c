"""`circuits tasks`: list them, try a model on one, check and write files of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from circuits.cli import options
from circuits.cli.epilogs import examples

_DEFAULT = "show"


class _ShowsByDefault(TyperGroup):
    """`circuits tasks ioi` means `circuits tasks show ioi`."""

    def parse_args(self, ctx: Any, args: Sequence[str]) -> Any:
        """Put the default command in front of what names no command."""
        first = args[0] if args else ""
        is_command = first in self.commands or first in ctx.help_option_names
        return super().parse_args(ctx, list(args) if is_command else [_DEFAULT, *args])


app = typer.Typer(
    cls=_ShowsByDefault,
    rich_markup_mode="rich",
    help="List the tasks, show how well a model does one, check and write files of your own.",
    epilog=examples(
        "circuits tasks",
        "circuits tasks ioi --model gpt2",
        "circuits tasks check mine.jsonl --model gpt2",
    ),
)

Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="A .jsonl or .csv file to write.")
]


@app.command(
    name=_DEFAULT,
    epilog=examples("circuits tasks", "circuits tasks ioi --model gpt2"),
)
def show(
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
    """List the tasks, or show how well a model does one; "show" can be left out."""
    from circuits.cli import actions

    if task is None:
        actions.list_tasks(json)
    else:
        source = actions.ModelSource(model, device, dtype)
        actions.try_task(task, source, n_prompts, seed or 0, metric or "logit_diff", json)


@app.command(
    epilog=examples(
        "circuits tasks check mine.jsonl --model gpt2",
        "circuits tasks check 'mine.csv?clean=prompt&wrong=foil' --usable mine.jsonl",
    )
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
    n_prompts: options.TestedPromptCount = 64,
    seed: options.Seed = None,
    metric: options.Metric = None,
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
    from circuits.cli.actions import ModelSource
    from circuits.cli.task_files import check

    source = ModelSource(model, device, dtype)
    check(file, source, n_prompts, seed or 0, metric or "logit_diff", usable, json)


@app.command(
    epilog=examples(
        "circuits tasks export ioi --output ioi.jsonl",
        "circuits tasks export docstring --output docstring.csv --n-prompts 500 --model gpt2",
    )
)
def export(
    task: options.TaskName,
    output: Output,
    n_prompts: Annotated[
        int, typer.Option("--n-prompts", metavar="N", help="Prompt pairs to write.")
    ] = 64,
    seed: options.Seed = None,
    model: options.Model = None,
) -> None:
    """Write the prompt pairs of a task to a file, drawn for a model's tokenizer."""
    from circuits.cli.task_files import export

    export(task, output, n_prompts, seed or 0, model)
