"""`circuits study`: a search over all settings with Optuna."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from circuits.cli.commands.grid import Keep
from circuits.cli.errors import usage_errors
from circuits.cli.options import TaskName, command
from circuits.cli.searching import Asked, Shown, carry_out_one, check_asked
from circuits.cli.setting_options import takes_search_options
from circuits.cli.worker_options import Executor, WorkerCount
from circuits.discovery.uses import OF_A_CHOICE, OF_ACDC

TrialCount = Annotated[
    int, typer.Option("--trials", metavar="N", help="Combinations of settings to try.")
]


@takes_search_options(
    "threshold",
    "logits_threshold",
    "min_effect",
    "cliff",
    "score_share",
    "full_curve",
    *OF_A_CHOICE,
    *OF_ACDC,
    method="app",
)
def study(
    task: TaskName,
    *,
    trials: TrialCount = 50,
    keep: Keep = 75.0,
    executor: Executor = None,
    workers: WorkerCount = None,
    given: dict[str, Any],
) -> None:
    """Search thresholds and pruning with Optuna, and choose the smallest good circuit."""
    asked = Asked(task, given, "app")
    config, known = asked.config(), check_asked(asked)
    chosen = asked.workers(executor, workers)
    from circuits.cli.as_json import results as as_json
    from circuits.cli.tables import searches as tables
    from circuits.studies.tuning import STUDY_STAGES, check_study, discover_study

    with usage_errors():
        check_study(config, trials, keep)

    search = partial(discover_study, n_trials=trials, keep=keep, config=config, workers=chosen)
    shown = Shown(STUDY_STAGES, lambda found: found.found.circuit, as_json.study, tables.study)
    carry_out_one(asked, known, search, shown)


COMMANDS = {
    "study": command(
        study,
        "study",
        "circuits study ioi --out runs/ioi-study",
        "circuits study ioi --trials 200 --keep 90",
    )
}
