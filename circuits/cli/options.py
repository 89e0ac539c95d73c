"""The options that several commands share, with their help texts; and how a command is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from circuits.runtime.sizes import LARGEST_SEED, MOST_THREADS

_MODEL, _OUTPUT = "Model", "Output"
_OLD_NAMES = {"output": "out"}
"""Of options that were called otherwise, and still can be."""


def examples(*lines: str) -> str:
    """Command lines under a heading, for the end of a help text."""
    # typer keeps the line breaks of a paragraph that starts with a backspace.
    return "\b\n" + "\n".join(("[dim]Examples[/dim]", *(f"  {line}" for line in lines)))


def command(function: Callable[..., None], name: str, *lines: str) -> Any:
    """A command of a function, with examples below its help."""
    app = typer.Typer(rich_markup_mode="rich", add_completion=False)
    subcommand(app, *lines, name=name)(function)
    return get_command(app)


def group(name: str, help: str, *lines: str, **more: Any) -> typer.Typer:
    """A group of commands, with examples below its help; `more` as in `typer.Typer`."""
    return typer.Typer(
        name=name,
        help=help,
        epilog=examples(*lines),
        rich_markup_mode="rich",
        add_completion=False,
        context_settings=_CONTEXT,
        **more,
    )


def subcommand(
    app: typer.Typer, *lines: str, name: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function one of a group's commands, with examples below its help."""
    return app.command(name=name, epilog=examples(*lines), context_settings=_CONTEXT)


_CONTEXT = {
    "help_option_names": ["--help", "-h"],
    "token_normalize_func": lambda name: _OLD_NAMES.get(name, name),
}

TaskName = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        help="A task of `circuits tasks`, or your own: a JSONL or CSV file, a directory of "
        "Dataset.save_to_disk, or hf://datasets/OWNER/NAME.",
    ),
]
Run = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="Directory of a run, written by `circuits discover --out`, or a circuit as JSON, of "
        "`circuits import`.",
    ),
]
AnyCircuit = Annotated[
    str,
    typer.Argument(
        metavar="CIRCUIT",
        help="A run's directory, a circuit as JSON, or a name of `circuits references`.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME_OR_PATH",
        help="A name of `circuits models`, any Hugging Face name (@REVISION behind it), or a "
        "checkpoint directory; default smollm2-135m.",
        rich_help_panel=_MODEL,
    ),
]
SavedModel = Annotated[
    str | None,
    typer.Option(
        metavar="NAME_OR_PATH",
        help="Where the model is now; default where it was when the circuit was discovered.",
        rich_help_panel=_MODEL,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="DEVICE",
        help="cpu, cuda, or auto: over several GPUs; default cuda.",
        rich_help_panel=_MODEL,
    ),
]
DataType = Annotated[
    str | None,
    typer.Option(
        metavar="DTYPE",
        help="float32, bfloat16, float16 or float64; default float32.",
        rich_help_panel=_MODEL,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=0,
        max=LARGEST_SEED,
        help="Seed of the prompts; the same gives the same; default 0.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=MOST_THREADS,
        help="Threads to compute with; default OMP_NUM_THREADS, or the cores that this process "
        "may really use (affinity, container quota).",
    ),
]
OutFile = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="Write here; default to stdout.",
        rich_help_panel=_OUTPUT,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print JSON and nothing else on stdout.", rich_help_panel=_OUTPUT),
]
