"""The options that commands of every kind share, with their help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_MODEL, _OUTPUT = "Model", "Output"

TaskName = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        help="A task of `circuits tasks`, or your own: a JSONL or CSV file, a directory of "
        "Dataset.save_to_disk, or hf://datasets/OWNER/NAME.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME_OR_PATH",
        help="A name of `circuits models`, any Hugging Face name, or a checkpoint directory; "
        "default smollm2-135m.",
        rich_help_panel=_MODEL,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="DEVICE", help="cpu or cuda (default: cuda if there).", rich_help_panel=_MODEL
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

TestedPromptCount = Annotated[
    int, typer.Option("--n-prompts", metavar="N", help="Prompt pairs to test the model on.")
]
Seed = Annotated[
    int | None,
    typer.Option(metavar="N", help="Seed of the prompts; the same gives the same; default 0."),
]
Metric = Annotated[
    str | None, typer.Option(metavar="METRIC", help="logit_diff or prob_diff; default logit_diff.")
]
Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Threads to compute with; default OMP_NUM_THREADS, or the cores that this process "
        "may really use (affinity, container quota).",
    ),
]

RowsOut = Annotated[
    Path,
    typer.Option(
        metavar="DIRECTORY",
        help="Write the rows here as they come; the same command again goes on from there.",
        rich_help_panel=_OUTPUT,
    ),
]
TruthModels = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="One of these models alone; may be repeated. Default: all of them.",
        rich_help_panel=_MODEL,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print JSON and nothing else on stdout.", rich_help_panel=_OUTPUT),
]
