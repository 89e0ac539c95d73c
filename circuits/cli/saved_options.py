"""The options of commands on saved runs, with their help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_MODEL, _OUTPUT = "Model", "Output"
_ANY_CIRCUIT = "A run's directory, a circuit as JSON, or a name of `circuits references`."

Run = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="Directory of a run, written by `circuits discover --out`."),
]
EvaluatedRun = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="Directory of a run, or a circuit as JSON, of `circuits import`."
    ),
]
EvaluatedTask = Annotated[
    str | None,
    typer.Option(
        metavar="TASK",
        help="For a circuit as JSON, the task to evaluate it on; for a run, where its file is now.",
    ),
]
ComparedWith = Annotated[
    str,
    typer.Argument(
        metavar="REFERENCE",
        help=_ANY_CIRCUIT,
    ),
]
AnyCircuit = Annotated[
    str,
    typer.Argument(
        metavar="CIRCUIT",
        help=_ANY_CIRCUIT,
    ),
]
ReadTask = Annotated[
    str | None,
    typer.Option(metavar="TASK", help="Whose prompts to read heads on; for a circuit as JSON."),
]
ReadPromptCount = Annotated[
    int | None,
    typer.Option(
        "--n-prompts", metavar="N", min=1, help="Prompts; default the discovery's, or 16."
    ),
]
ReadSeed = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", help="Seed of these; default the discovery's, or 0."),
]
NamingAttention = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Attention that a name takes to what it says a head looks at; default 0.4.",
    ),
]
NamingShare = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Share of the logit difference that a name takes to say it writes; default 0.05.",
    ),
]
Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...", help="Directories of runs, written by `circuits discover --out`."
    ),
]

SavedModel = Annotated[
    str | None,
    typer.Option(
        metavar="NAME_OR_PATH",
        help="Where the model is now (default: where it was when the circuit was discovered).",
        rich_help_panel=_MODEL,
    ),
]

EvaluatedPrompts = Annotated[
    str | None,
    typer.Option(
        metavar="WHICH",
        help="held-out (none of those of the discovery) or discovery; default held-out.",
    ),
]
EvaluatedPromptCount = Annotated[
    int | None,
    typer.Option("--n-prompts", metavar="N", help="Held-out prompt pairs; default 64."),
]
EvaluatedSeed = Annotated[
    int | None,
    typer.Option(
        "--seed", metavar="N", help="Seed of the held-out prompts; default the discovery's plus 1."
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
HeadScore = Annotated[
    str | None,
    typer.Option(
        "--score",
        metavar="NAME",
        help="By which scores: path-effects, attribution, contrastive-flap or flap; default the "
        "first of them that the run has.",
    ),
]
CurveAblation = Annotated[
    str | None,
    typer.Option(
        metavar="HOW",
        help="How the heads that the curve leaves out are replaced: mean, resample or zero; "
        "default resample.",
    ),
]
Confidence = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Coverage of the intervals; default 0.95."),
]
ResampleCount = Annotated[
    int | None,
    typer.Option(
        "--resamples", metavar="N", help="Resamples of the prompts for the intervals; default 2000."
    ),
]
KeepEvaluation = Annotated[
    bool,
    typer.Option(
        " /--no-save",
        show_default=False,
        help="Write nothing. Without it, the figures are kept in RUN/evaluation.json, for "
        "`circuits report`.",
        rich_help_panel=_OUTPUT,
    ),
]

ReportFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write the page here; default RUN/report.html, where there is one RUN.",
        rich_help_panel=_OUTPUT,
    ),
]
