"""Every method against circuits that are known by construction, as README's table.

python -m benchmarks.truth_table [--unseen DIR ...] [--write-readme]

The rules of selection and pruning for small models were set on the models that are shipped. DIR
holds others, made the same way from other seeds, on which they were not:

python -m benchmarks.make_truth --seed 1 --out DIR
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.machine import describe_machine
from benchmarks.publish import publish
from circuits.truth import CONTESTANTS, TruthRow, list_truths, run_truth, truth_record
from circuits.truth.bench import as_json, from_json
from circuits.truth.contestants import DEFAULT_RULED
from circuits.truth.ground import truth_digest

RESULTS = Path(__file__).parent / "results" / "truth.json"
KEPT = Path("runs/truth")
_EXACT = ("app-exact", "path-patching-exact")


def rows_of(rows: Sequence[TruthRow], *methods: str) -> list[TruthRow]:
    """The rows of some methods."""
    return [row for row in rows if row.method in methods]


def table(rows: Sequence[TruthRow]) -> list[str]:
    """A line for each model, a column for each method."""
    methods = [one.name for one in CONTESTANTS if not one.default_rules]
    lines = [
        "| model | heads: true of all | interchange accuracy | " + " | ".join(methods) + " |",
        "|---" + "|--:" * (len(methods) + 2) + "|",
    ]
    for name in dict.fromkeys(row.model for row in rows):
        record = truth_record(name)
        found = {row.method: row for row in rows if row.model == name}
        cells = [
            name,
            f"{len(record.heads)} of {record.shape.n_layers * record.shape.n_heads}",
            f"{record.interchange.joint:.3f}" if record.interchange else "",
            *(_figures(found[method]) for method in methods),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def markdown(measured: dict[str, Any]) -> str:
    """The table, what went wrong where, and what the rules for small models are worth."""
    rows, unseen = from_json(measured["rows"]), from_json(measured["unseen"])
    machine = measured["machine"]
    searches = [row for row in rows if row.reasons and row.method not in DEFAULT_RULED]
    notes = [f"- {row.model}, {row.method}: {why}." for row in searches for why in row.reasons]
    return "\n".join(
        [
            *table(rows),
            "",
            "Precision / recall / AUC over heads; *interchange accuracy* is that of the trained "
            "models with all components outside the circuit swapped at once. "
            f"{_paths(rows)} {_default_rules(rows)} {_unseen(unseen)}",
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
    write_into_readme: Annotated[bool, typer.Option("--write-readme")] = False,
) -> None:
    """Run every method on every model, and write the figures as JSON and as a table."""
    say = Console(stderr=True, soft_wrap=True).print
    rows = run_truth(list_truths(), directory, seed=seed, tell=say)
    exact = [contestant for contestant in CONTESTANTS if contestant.name in _EXACT]
    others: list[TruthRow] = []
    for data in unseen or ():
        kept = directory / data.name
        others += run_truth(
            list_truths(data), kept, contestants=exact, seed=seed, tell=say, data=data
        )
    measured = {
        "seed": seed,
        "machine": describe_machine(),
        "digests": {name: truth_digest(name) for name in list_truths()},
        "rows": as_json(rows),
        "unseen": as_json(others) if unseen else _written_before(out),
    }
    section = "truth table" if write_into_readme else None
    publish(measured, out, markdown(measured), section)


def _written_before(out: Path) -> list[dict[str, Any]]:
    """The rows of other seeds, which are not made anew each time."""
    return json.loads(out.read_text())["unseen"] if out.is_file() else []


def _figures(row: TruthRow) -> str:
    return " / ".join(_share(figure) for figure in (row.precision, row.recall, row.auc))


def _share(figure: float | None) -> str:
    return "none found" if figure is None else f"{figure:.2f}"


def _paths(rows: Sequence[TruthRow]) -> str:
    """The lowest figures of exact searches over paths."""
    known = [row.paths for row in rows_of(rows, *_EXACT) if row.paths]
    precision = min(paths.precision or 0.0 for paths in known)
    recall = min(paths.recall for paths in known)
    return (
        f"On the {len(known) // len(_EXACT)} models whose true paths are known, too, exact "
        f"searches find paths with a precision of {precision:.2f} and a recall of {recall:.2f}, "
        "or better."
    )


def _default_rules(rows: Sequence[TruthRow]) -> str:
    """What the same searches find by the rules for large models."""
    figures = []
    for method in _EXACT:
        found = rows_of(rows, f"{method}-default")
        precision = [row.precision for row in found if row.precision is not None]
        figures.append(
            f"`{method}` has recall {mean(row.recall for row in found):.2f} on average, and "
            f"precision {mean(precision):.2f} where it finds anything "
            f"({len(precision)} of {len(found)} models)"
        )
    return f"By the default rules, for hundreds of heads, {' and '.join(figures)}."


def _unseen(rows: Sequence[TruthRow]) -> str:
    """Whether the rules hold on models that they were not set on."""
    if not rows:
        return "The rules were not tried on models of other seeds."
    precision = min(row.precision or 0.0 for row in rows)
    recall = min(row.recall for row in rows)
    perfect = sum(row.precision == row.recall == 1.0 for row in rows)
    return (
        f"On {len(rows) // len(_EXACT)} models made the same way from other seeds, which the rules "
        f"for small models were not set on, exact searches have precision {precision:.2f} and "
        f"recall {recall:.2f} or better; {perfect} of {len(rows)} searches find the very circuit."
    )


if __name__ == "__main__":
    typer.run(main)
