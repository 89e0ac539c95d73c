"""`circuits seeds`: a discovery repeated, and how its figures spread."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from circuits.circuit import Circuit
from circuits.cli.errors import UsageError, usage_errors
from circuits.cli.inputs import read_named, warn_of_other_origin
from circuits.cli.options import TaskName, command
from circuits.cli.searching import Asked, Shown, carry_out, check_asked
from circuits.cli.setting_options import takes_search_options
from circuits.cli.worker_options import Executor, WorkerCount
from circuits.discovery.methods import any_method_names
from circuits.statistics.inclusion_rule import InclusionRule

if TYPE_CHECKING:
    from circuits.discovery.result import Discovery
    from circuits.studies.seeds import Against

_OWN = "core", "consensus"
SeedCount = Annotated[
    int, typer.Option("--seeds", metavar="N", help="Seeds to repeat the discovery over.")
]
ComparedWith = Annotated[
    str | None,
    typer.Option(
        metavar="WHAT",
        help="Measure precision and recall against another method on the same prompts, such as "
        "path-patching, or against a run's directory, a circuit as JSON, or a name of `circuits "
        "references`.",
    ),
]


@takes_search_options(beside=(InclusionRule,))
def seeds(
    task: TaskName,
    *,
    seeds: SeedCount = 10,
    against: ComparedWith = None,
    executor: Executor = None,
    workers: WorkerCount = None,
    given: dict[str, Any],
) -> None:
    """Repeat a discovery over seeds, and show how much of it depends on them.

    The seeds begin with --seed, which is also the one that is shown apart from the others.

    What most circuits have is a circuit of its own, measured on prompts that no seed has seen.
    """
    asked = Asked(task, given)
    config, known = asked.config(), check_asked(asked)
    read = _read(against)
    other = _against(read)
    from circuits.cli.as_json import results as as_json
    from circuits.cli.tables import seeds as tables
    from circuits.studies import discover_seeds
    from circuits.studies.seeds import (
        SEED_STAGES,
        check_against,
        check_study_begun,
        is_study_begun,
        seed_numbers,
    )

    chosen = asked.workers(executor, workers)
    with usage_errors():
        rule = InclusionRule(**{name: given[name] for name in _OWN if given[name] is not None})
        seed_numbers(seeds, config.seed)
        check_against(config, other)

    search = partial(
        discover_seeds, seeds=seeds, against=other, rule=rule, config=config, workers=chosen
    )
    shown = Shown(SEED_STAGES, lambda found: found.found.circuit, as_json.seeds, tables.seeds)
    carry_out(asked, known, search, shown, check_study_begun, is_study_begun)
    if against is not None and not isinstance(read, str | Circuit | None):
        warn_of_other_origin(read, against, known.spec or known.name, asked.source().shown)


def _read(given: str | None) -> Against | Discovery | None:
    """A method by name, a circuit, a reference or a run. Raises UsageError."""
    if given is None or given in any_method_names():
        return given
    try:
        return read_named(given)
    except UsageError as error:
        methods = ", ".join(any_method_names())
        raise UsageError(f"{error}; methods to compare with: {methods}") from error


def _against(read: Against | Discovery | None) -> Against | None:
    from circuits.discovery.result import Discovery

    return read.circuit if isinstance(read, Discovery) else read


COMMANDS = {
    "seeds": command(
        seeds,
        "seeds",
        "circuits seeds ioi --seeds 10 --out runs/ioi-seeds",
        "circuits seeds ioi --against path-patching --out runs/ioi-seeds --resume",
        "circuits seeds ioi --seeds 10 --workers 2 --out runs/ioi-seeds",
        "circuits seeds ioi --templates 4 --against ioi-smollm2-135m --json",
    )
}
