"""`circuits grid`: a circuit for every combination of thresholds."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from circuits.cli.errors import UsageError, usage_errors
from circuits.cli.options import TaskName, command
from circuits.cli.searching import Asked, Shown, carry_out_one, check_asked
from circuits.cli.setting_options import takes_search_options
from circuits.cli.worker_options import Executor, WorkerCount
from circuits.discovery.uses import OF_A_CHOICE, OF_ACDC

PANEL = "Which heads and paths are kept"
Thresholds = Annotated[
    str,
    typer.Option(
        metavar="T,T,...",
        help="Standard deviations by which a sender's effect on a head must stand out.",
        rich_help_panel=PANEL,
    ),
]
MinEffects = Annotated[
    str,
    typer.Option(
        metavar="E,E,...",
        help="Receivers without any effect larger than this keep no sender.",
        rich_help_panel=PANEL,
    ),
]
Keep = Annotated[
    float,
    typer.Option(
        metavar="PERCENT",
        help="Choose the smallest circuit that keeps this much of performance.",
        rich_help_panel=PANEL,
    ),
]


@takes_search_options("threshold", "min_effect", *OF_A_CHOICE, *OF_ACDC, method="app")
def grid(
    task: TaskName,
    *,
    thresholds: Thresholds = "1,1.5,2,2.5",
    min_effects: MinEffects = "0.001,0.002,0.01,0.02",
    keep: Keep = 75.0,
    executor: Executor = None,
    workers: WorkerCount = None,
    given: dict[str, Any],
) -> None:
    """Find a circuit for every combination of thresholds, and choose the smallest good one."""
    asked = Asked(task, given, "app")
    config, known = asked.config(), check_asked(asked)
    chosen = asked.workers(executor, workers)
    varied = _numbers("--thresholds", thresholds), _numbers("--min-effects", min_effects)
    from circuits.cli.as_json import results as as_json
    from circuits.cli.tables import searches as tables
    from circuits.discovery.pipeline import STAGES
    from circuits.studies.grid import discover_grid, grid_rules

    with usage_errors():
        grid_rules(config, *varied, keep)

    thresholds_and_effects = {"thresholds": varied[0], "min_effects": varied[1]}
    search = partial(
        discover_grid, **thresholds_and_effects, keep=keep, config=config, workers=chosen
    )
    shown = Shown(STAGES, lambda found: found.found.circuit, as_json.grid, tables.grid)
    carry_out_one(asked, known, search, shown)


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"{option} must be numbers separated by commas, such as 1,1.5,2, got {text!r}"
        ) from error


COMMANDS = {
    "grid": command(
        grid,
        "grid",
        "circuits grid ioi --out runs/ioi-grid",
        "circuits grid ioi --workers 2 --out runs/ioi-grid",
        "circuits grid ioi --thresholds 1.5,2,2.5 --min-effects 0.01 --keep 90",
    )
}
