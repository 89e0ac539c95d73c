"""`circuits discover`: the circuit of a task in a model."""

from __future__ import annotations

from functools import partial
from typing import Any

from circuits.cli.options import TaskName, command
from circuits.cli.searching import Asked, Shown, carry_out_one, check_asked
from circuits.cli.setting_options import takes_search_options
from circuits.cli.worker_options import Executor, WorkerCount


@takes_search_options()
def discover(
    task: TaskName,
    *,
    executor: Executor = None,
    workers: WorkerCount = None,
    given: dict[str, Any],
) -> None:
    """Find the circuit of a task in a model."""
    asked = Asked(task, given)
    config, known = asked.config(), check_asked(asked)
    chosen = asked.workers(executor, workers)
    from circuits.cli.as_json import results as as_json
    from circuits.cli.tables import discovery as tables
    from circuits.discover import run_discovery
    from circuits.discovery.pipeline import stages_of

    shown = Shown(
        stages_of(config), lambda found: found.circuit, as_json.discovery, tables.discovery
    )
    search = partial(run_discovery, config=config, workers=chosen)
    carry_out_one(asked, known, search, shown)


COMMANDS = {
    "discover": command(
        discover,
        "discover",
        "circuits discover ioi --out runs/ioi",
        "circuits discover ioi --out runs/ioi --resume",
        "circuits discover ioi --keep 95",
        "circuits discover ioi --method app --workers 2 --out runs/ioi",
        "circuits discover greater-than --model gpt2 --method path-patching --json",
    )
}
