"""Methods on models whose circuits are known, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from circuits.cli.tables import basics as tables
from circuits.truth import TruthRow
from circuits.truth.methods import by_default_rules

_LEGEND = (
    "keeps: performance of the found heads alone; paths: precision and recall of the found paths, "
    "where the true ones are known; nodes, edges: precision, recall and AUC; default: by the "
    "rules for models of hundreds of heads"
)


def truth(rows: Sequence[TruthRow]) -> RenderableType:
    """A row for each method, models under each other; then why searches of paths went wrong."""
    parts: list[RenderableType] = []
    for _, group in groupby(rows, key=lambda row: row.model):
        of_model = list(group)
        has_nodes = of_model[0].nodes is not None
        more = (">nodes", ">edges") if has_nodes else (">paths",)
        lines = tables.plain_table(
            "method", ">precision", ">recall", ">AUC", ">heads", ">keeps", *more
        )
        for row in of_model:
            lines.add_row(*_cells(row), *(_of_nodes(row) if has_nodes else _of_paths(row)))
        notes = [
            Text(f"{row.method}: {why}", "dim")
            for row in of_model
            for why in row.reasons
            if row.method not in by_default_rules()
        ]
        parts += tables.section(_title(of_model[0]), Group(lines, *notes))
    return Group(*parts, Text(_LEGEND, "dim"))


def _cells(row: TruthRow) -> tuple[str, ...]:
    return (
        row.method,
        share(row.precision),
        share(row.recall),
        share(row.auc),
        f"{len(row.found)}",
        f"{row.performance:.0f}%",
    )


def _of_paths(row: TruthRow) -> tuple[str, ...]:
    return (f"{share(row.paths.precision)} {share(row.paths.recall)}" if row.paths else "",)


def _of_nodes(row: TruthRow) -> tuple[str, ...]:
    """Precision, recall and AUC of nodes and of direct edges."""
    return tuple(
        f"{share(one.precision)} {share(one.recall)} {share(one.auc)}" if one else ""
        for one in (row.nodes, row.edges)
    )


def share(figure: float | None) -> str:
    """A precision or the like; there is no precision where nothing was found."""
    return "none" if figure is None else f"{figure:.2f}"


def _title(row: TruthRow) -> str:
    heads = " ".join(str(head) for head in sorted(row.true_heads))
    return f"{row.model} ({row.kind}; true heads {heads} keep {row.true_performance:.0f}%)"
