"""`circuits submission`: runs as MIB's circuit localization track takes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from circuits.cli import options
from circuits.cli.errors import UsageError, usage_errors
from circuits.cli.inputs import read
from circuits.cli.outputs import output_directory, write_output
from circuits.cli.terminal import print_note
from circuits.errors import UnknownNameError
from circuits.errors.wording import unknown_name
from circuits.formats.mib_names import FILE, FOLDERS, check_mib_folder, mib_folder

if TYPE_CHECKING:
    from circuits.discovery.result import Discovery
    from circuits.patching import EdgeValues

Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...",
        help="Directories of runs of `circuits discover --mlps nodes`, one for each task and "
        "model.",
    ),
]
Folders = Annotated[
    list[str] | None,
    typer.Option(
        "--as",
        metavar="FOLDER",
        help="What the track calls each run, in their order, where task and model of a run do not "
        f"say it: {', '.join(FOLDERS)}.",
    ),
]
Ranking = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The ranking of each run that scores edges; default the one that its circuit was "
        "chosen by.",
    ),
]
Directory = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="DIR", help="Write the folders into this directory."),
]


def submission(
    runs: Runs, out: Directory, folders: Folders = None, ranking: Ranking = None
) -> None:
    """Write runs as a submission to MIB's circuit localization track."""
    from circuits.formats import importances

    if folders is not None and len(folders) != len(runs):
        raise UsageError(
            f"--as was given {len(folders)} times for {len(runs)} runs: give it once for each"
        )
    files: dict[Path, bytes] = {}
    for place, path in enumerate(runs):
        found = _read(path)
        with usage_errors():
            folder = _folder(found, None if folders is None else folders[place])
            width = found.provenance.model.d_model
            text = importances(found.circuit, _ranking(found, path, ranking), width)
        target = out / folder / FILE
        if target in files:
            raise UsageError(
                f"two runs are both {folder}: give one of them, or another name (--as)"
            )
        files[target] = text.encode()
    with output_directory(out):
        for target, content in files.items():
            with output_directory(target.parent):
                write_output(target, content)
            print_note(f"written to {target}")
    _say_what_is_missing({target.parent.name for target in files})


def _read(path: Path) -> Discovery:
    from circuits.discovery.result import Discovery

    found = read(path)
    if not isinstance(found, Discovery):
        raise UsageError(f"{path} is a circuit alone, without scores of edges: give a run")
    return found


def _folder(found: Discovery, given: str | None) -> str:
    if given is None:
        return mib_folder(found.provenance.task, found.provenance.model.name)
    check_mib_folder(given, f"--as {given}")
    return given


def _ranking(found: Discovery, path: Path, name: str | None) -> EdgeValues:
    if not found.rankings or found.sizes is None:
        raise UsageError(
            f"{path} has no ranking of edges: discover with --mlps nodes, by a method that ranks"
        )
    name = name or found.sizes.point.ranking
    if name not in found.rankings:
        raise UnknownNameError(unknown_name("ranking", name, found.rankings))
    return found.rankings[name]


def _say_what_is_missing(folders: set[str]) -> None:
    """The track takes submissions of at least two tasks and two models."""
    tasks, models = ({folder.split("_")[part] for folder in folders} for part in (0, 1))
    if len(tasks) < 2 or len(models) < 2:
        print_note(
            f"{len(tasks)} task{'s' * (len(tasks) != 1)} and {len(models)} "
            f"model{'s' * (len(models) != 1)}: the track wants two of each or more"
        )


COMMANDS = {
    "submission": options.command(
        submission,
        "submission",
        "circuits submission runs/ioi-gpt2 --out submission",
        "circuits submission runs/a runs/b --as ioi_gpt2 --as mcqa_qwen2.5 --out submission",
    )
}
