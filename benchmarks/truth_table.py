"""Every method against circuits that are known by construction, as the table of docs/numbers.md.

python -m benchmarks.truth_table [--unseen DIR ...] [--write]

The rules of selection and pruning for small models were set on the models that are shipped. DIR
holds others, made the same way from other seeds, on which they were not:

python -m benchmarks.make_truth --seed 1 --out DIR
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.machine import describe_machine
from benchmarks.publish import Write, kept, publish
from benchmarks.tables import table
from circuits.runtime.progress import Progress
from circuits.truth import TruthRow, contestants, list_truths, run_truth, truth_record
from circuits.truth.bench import as_json, from_json
from circuits.truth.ground import truth_digest
from circuits.truth.methods import by_default_rules

RESULTS = Path(__file__).parent / "results" / "truth.json"
KEPT = Path("runs/truth")
_MOST = ("in-context", "app-exact", "app-merged-flap-exact", "path-patching-exact")


def by_model(rows: Sequence[TruthRow]) -> str:
    """A line for each model, a column for each method."""
    methods = [one.name for one in contestants() if not one.default_rules]
    lines = []
    for name in dict.fromkeys(row.model for row in rows):
        record = truth_record(name)
        found = {row.method: row for row in rows if row.model == name}
        cells = (
            name,
            f"{len(record.heads)} of {record.shape.n_layers * record.shape.n_heads}",
            f"{record.interchange.joint:.3f}" if record.interchange else "",
            *(_figures(found[method]) for method in methods),
        )
        lines.append(cells)
    return table(["model", "true heads", "interchange accuracy", *methods], lines)


def summary(rows: Sequence[TruthRow], unseen: Sequence[TruthRow]) -> str:
    """A line for each method: its lowest figures on models of each kind."""
    groups: dict[str, list[TruthRow]] = {}
    for row in rows:
        groups.setdefault(row.kind, []).append(row)
    groups["other seeds"] = list(unseen)
    sizes = {name: len({row.model for row in group}) for name, group in groups.items()}
    lines = []
    for contestant in contestants():
        by_method = ([r for r in group if r.method == contestant.name] for group in groups.values())
        lines.append([contestant.name, *map(_lowest, by_method)])
    return table(["lowest", *(f"{name} ({size})" for name, size in sizes.items())], lines)


def markdown(measured: dict[str, Any]) -> str:
    """Both tables, and by which paths searches went wrong."""
    rows, unseen = from_json(measured["rows"]), from_json(measured["unseen"])
    machine = measured["machine"]
    others = by_default_rules()
    wrong = [row for row in rows if row.reasons and row.method not in others]
    notes = [f"- {row.model}, {row.method}: {why}." for row in wrong for why in row.reasons]
    return "\n".join(
        [
            "Precision / recall / AUC over heads; *interchange accuracy*: of the trained models, "
            "with all components outside the circuit swapped at once:",
            "",
            by_model(rows),
            "",
            f"The lowest precision / recall of each method. {_paths(rows)} *Other seeds*: models "
            "made the same way, on which the rules for small models were not set; *default*: by "
            "the rules for large ones.",
            "",
            summary(rows, unseen),
            "",
            "Where a search of paths is wrong about a head, by which path:",
            "",
            *(notes or ["- nowhere."]),
            "",
            f"16 prompts, seed {measured['seed']}; torch {machine['torch']}, transformer-lens "
            f"{machine['transformer-lens']}. Written by `python -m benchmarks.truth_table` on "
            f"commit {machine['commit']}.",
        ]
    )


def main(
    seed: int = 0,
    directory: Path = KEPT,
    unseen: Annotated[list[Path] | None, typer.Option(help="Models of another seed.")] = None,
    out: Path = RESULTS,
    write: Write = False,
) -> None:
    """Run every method on every model, and write the figures as JSON and as a table."""
    progress = _progress()
    rows = run_truth(list_truths(), directory, seed=seed, progress=progress)
    most = [contestant for contestant in contestants() if contestant.name in _MOST]
    others: list[dict[str, Any]] = []
    for data in unseen or ():
        where, names = directory / data.name, list_truths(data)
        found = run_truth(names, where, methods=most, seed=seed, progress=progress, data=data)
        others += [row | {"model": f"{data.name}/{row['model']}"} for row in as_json(found)]
    measured = {
        "seed": seed,
        "machine": describe_machine(),
        "digests": {name: truth_digest(name) for name in list_truths()},
        "rows": as_json(rows),
        # Those of other seeds are not made anew each time.
        "unseen": others or kept(out).get("unseen", []),
    }
    publish(measured, out, markdown(measured), "truth table" if write else None)


def _progress() -> Progress:
    """Lines that begin with how much is done."""
    say = Console(stderr=True, soft_wrap=True).print
    return Progress(lambda _, done: say(f"{done:4.0%}", end=" "), say, "truth")


def _figures(row: TruthRow) -> str:
    return f"{_share(row.precision)} / {row.recall:.2f} / {row.auc:.2f}"


def _share(figure: float | None) -> str:
    return "none found" if figure is None else f"{figure:.2f}"


def _lowest(rows: Sequence[TruthRow]) -> str:
    """The lowest precision, where anything was found, and the lowest recall."""
    if not rows:
        return ""
    precision = min((r.precision for r in rows if r.precision is not None), default=None)
    return f"{_share(precision)} / {min(row.recall for row in rows):.2f}"


def _paths(rows: Sequence[TruthRow]) -> str:
    """The lowest figures of the dense exact search over paths."""
    known = [row.paths for row in rows if row.paths and row.method == "path-patching-exact"]
    precision = min(paths.precision or 0.0 for paths in known)
    recall = min(paths.recall for paths in known)
    return (
        f"Paths, on the {len(known)} models whose true ones are known: {precision:.2f} / "
        f"{recall:.2f} or better by `path-patching-exact`."
    )


if __name__ == "__main__":
    typer.run(main)
