"""The options that commands share, with their help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_MODEL, _SELECTION, _OUTPUT = "Model", "Which heads and paths are kept", "Output"

TaskName = Annotated[str, typer.Argument(metavar="TASK", help="A task of `circuits tasks`.")]
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

Method = Annotated[
    str | None,
    typer.Option(
        metavar="METHOD",
        help="app (prune, then patch paths), path-patching (patch all paths), attribution, flap, "
        "contrastive-flap or merged-flap (prune alone); default app.",
    ),
]
PruneBy = Annotated[
    str | None,
    typer.Option(
        metavar="SCORES",
        help="What app prunes by: attribution, merged-flap (the published recipe), flap or "
        "contrastive-flap; default attribution.",
        rich_help_panel=_SELECTION,
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        metavar="ENGINE",
        help="How path effects are measured: sweep (estimated all at once, then verified), "
        "exact, or reference (slow); default sweep.",
    ),
]
PromptCount = Annotated[
    int | None, typer.Option(metavar="N", help="Prompt pairs to discover on; default 16.")
]
TestedPromptCount = Annotated[
    int, typer.Option("--n-prompts", metavar="N", help="Prompt pairs to test the model on.")
]
MeanPromptCount = Annotated[
    int | None,
    typer.Option(metavar="N", help="Corrupted prompts to take mean outputs over; default 64."),
]
Seed = Annotated[
    int | None,
    typer.Option(metavar="N", help="Seed of the prompts; the same gives the same; default 0."),
]
Metric = Annotated[
    str | None, typer.Option(metavar="METRIC", help="logit_diff or prob_diff; default logit_diff.")
]
MemoryBudget = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="About how much memory path patching may use beside the model's own, such as 512MB "
        "or 4GiB; default a safe share of what is free; changes no number.",
    ),
]
Verify = Annotated[
    bool,
    typer.Option(
        " /--no-verify",
        show_default=False,
        help="Leave the estimates of --engine sweep as they are. Without it, paths whose "
        "selection could flip are run exactly, and a random sample of the others.",
    ),
]
SampledPathCount = Annotated[
    int | None,
    typer.Option(
        "--sampled-paths",
        metavar="N",
        help="About how many paths to verify at random, beside those that could flip; default 32.",
    ),
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

Threshold = Annotated[
    float | None,
    typer.Option(
        metavar="T",
        help="Standard deviations by which a sender's effect on a head must stand out; "
        "default 2.5.",
        rich_help_panel=_SELECTION,
    ),
]
LogitsThreshold = Annotated[
    float | None,
    typer.Option(
        metavar="T",
        help="The same for a sender's effect on the logits; default 2.0.",
        rich_help_panel=_SELECTION,
    ),
]
MinEffect = Annotated[
    float | None,
    typer.Option(
        metavar="E",
        help="Receivers without any effect larger than this keep no sender; default 0.01.",
        rich_help_panel=_SELECTION,
    ),
]
Distance = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        help="How the threshold grows with distance: sqrt or linear; default sqrt.",
        rich_help_panel=_SELECTION,
    ),
]
Alpha = Annotated[
    float | None,
    typer.Option(
        metavar="A",
        help="Growth per layer where --distance is linear; default 0.1.",
        rich_help_panel=_SELECTION,
    ),
]
Cliff = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        help="Where pruning ends: at a drop in performance (first, biggest, smooth-first, "
        "smooth-biggest), at 75% sparsity (fixed), or with the heads that hold --score-share of "
        "all score (share); default share for attribution, first for the others.",
        rich_help_panel=_SELECTION,
    ),
]
ScoreShare = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Share of all score that the heads left by --cliff share hold; more of them find "
        "more, at a higher price; default 0.625.",
        rich_help_panel=_SELECTION,
    ),
]
FullCurve = Annotated[
    bool | None,
    typer.Option(
        "--full-curve",
        help="Evaluate every sparsity, for the whole curve, also behind the first drop.",
        rich_help_panel=_SELECTION,
    ),
]
Contrast = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Contrast of Contrastive-FLAP: published or paired; default published.",
        rich_help_panel=_SELECTION,
    ),
]

Thresholds = Annotated[
    str,
    typer.Option(
        metavar="T,T,...",
        help="Standard deviations by which a sender's effect on a head must stand out.",
        rich_help_panel=_SELECTION,
    ),
]
MinEffects = Annotated[
    str,
    typer.Option(
        metavar="E,E,...",
        help="Receivers without any effect larger than this keep no sender.",
        rich_help_panel=_SELECTION,
    ),
]
Keep = Annotated[
    float,
    typer.Option(
        metavar="PERCENT",
        help="Choose the smallest circuit that keeps this much of performance.",
        rich_help_panel=_SELECTION,
    ),
]
TrialCount = Annotated[
    int, typer.Option("--trials", metavar="N", help="Combinations of settings to try.")
]

Out = Annotated[
    Path | None,
    typer.Option(
        metavar="DIRECTORY",
        help="Save the run here, and keep effects in DIRECTORY/work as they become known, so that "
        "the same command again goes on from there; without it nothing is written.",
        rich_help_panel=_OUTPUT,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Refuse to run unless --out holds a begun run of the same model, prompts and metric.",
        rich_help_panel=_OUTPUT,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print JSON and nothing else on stdout.", rich_help_panel=_OUTPUT),
]
