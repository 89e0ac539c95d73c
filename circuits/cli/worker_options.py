"""The options that say who runs the jobs of a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from circuits.runtime.workers import Workers

_WORKERS = "Workers"
Executor = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Where jobs run: processes (of this machine), ray or slurm; default processes.",
        rich_help_panel=_WORKERS,
    ),
]
WorkerCount = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Jobs at a time; default one for each core, with slurm 16.",
        rich_help_panel=_WORKERS,
    ),
]
WorkerThreads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        help="Threads of each worker; default 1. Their number can change the last digits of a "
        "result, that of the workers cannot.",
        rich_help_panel=_WORKERS,
    ),
]


def workers_of(
    executor: str | None,
    count: int | None,
    threads: int | None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    device: str | None = None,
) -> Workers:
    """Who is asked for. Raises SettingError and UnknownNameError."""
    name = executor or "processes"
    given = (options or {}).get(name, {})
    return Workers(name, count, 1 if threads is None else threads, device=device, options=given)


def asked_workers(
    executor: str | None, count: int | None, threads: int | None, device: str | None = None
) -> Workers | None:
    """The same; None where none are asked for, so that this process does the work."""
    if executor is None and count is None:
        return None
    return workers_of(executor, count, threads, device=device)
