"""The options of commands that search for a circuit, with their help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_SELECTION, _OUTPUT = "Which heads and paths are kept", "Output"

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
MeanPromptCount = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Corrupted prompts to take mean outputs over; default 64, or all of a task with less.",
    ),
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
IgnoreBehaviour = Annotated[
    bool,
    typer.Option(
        "--ignore-behaviour",
        help="Search for a circuit even where the prompts do not show that the model does the "
        "task.",
    ),
]
TemplateCount = Annotated[
    int | None,
    typer.Option(
        "--templates",
        metavar="N",
        help="Draw prompts from so many of the task's templates, by chance of the seed; default "
        "all.",
    ),
]

Rule = Annotated[
    str | None,
    typer.Option(
        "--rule",
        metavar="KIND",
        help="When a sender is kept: threshold (its effect stands out) or significance (its sign "
        "is no chance of the prompts); default threshold.",
        rich_help_panel=_SELECTION,
    ),
]
FalseDiscoveryRate = Annotated[
    float | None,
    typer.Option(
        metavar="R",
        help="With --rule significance, the share of a head's senders that may be false; "
        "default 0.05.",
        rich_help_panel=_SELECTION,
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
        help="Receivers without any effect larger than this keep no sender, and with --rule "
        "significance no sender of less is kept; default 0.01.",
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
SeedCount = Annotated[
    int, typer.Option("--seeds", metavar="N", help="Seeds to repeat the discovery over.")
]
Against = Annotated[
    str | None,
    typer.Option(
        metavar="WHAT",
        help="Measure precision and recall against another method on the same prompts, such as "
        "path-patching, or against a run's directory, a circuit as JSON, or a name of `circuits "
        "references`.",
    ),
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
