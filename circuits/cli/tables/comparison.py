"""How a circuit agrees with a reference, as tables."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from circuits.cli.tables.basics import names, plain_table, section, table
from circuits.comparison import Comparison
from circuits.statistics import RocCurve
from circuits.summary import tables as summary


def comparison(comparison: Comparison, name: str, reference: str) -> RenderableType:
    """Agreement of heads and edges beside chance, the rankings, and the heads themselves."""
    overlap = comparison.heads.overlap
    kinds = {
        "in both": overlap.true_positives,
        "only here (false positives)": overlap.false_positives,
        "only in the reference (false negatives)": overlap.false_negatives,
    }
    title = Text.assemble((name, "bold"), " against ", (reference, "bold"))
    return Group(
        title,
        Text(),
        *section("Heads", table(summary.agreement(comparison.heads))),
        *_nodes(comparison),
        *_edges(comparison),
        *_rankings(comparison),
        *(
            part
            for label, heads in kinds.items()
            for part in section(f"{len(heads)} {label}", Text(names(heads) or "none"))
        ),
    )


def _nodes(comparison: Comparison) -> tuple[RenderableType, ...]:
    if comparison.nodes is None:
        return ()
    title = "Nodes: heads, MLPs and the embedding"
    return section(title, table(summary.agreement(comparison.nodes)))


def _edges(comparison: Comparison) -> tuple[RenderableType, ...]:
    if comparison.edges is None:
        return ()
    return section("Edges", table(summary.agreement(comparison.edges, comparison.edges_by_heads)))


def _rankings(comparison: Comparison) -> tuple[RenderableType, ...]:
    rows: dict[str, RocCurve] = {
        f"heads by {name}": ranking for name, ranking in comparison.head_rankings.items()
    }
    if comparison.edge_ranking is not None:
        rows["edges by |effect|"] = comparison.edge_ranking
    if not rows:
        return ()
    table = plain_table("", ">AUC", ">in the reference", ">others")
    for label, ranking in rows.items():
        counts = f"{ranking.n_positive:,}", f"{ranking.n_negative:,}"
        table.add_row(label, f"{ranking.auc:.3f}", *counts)
    legend = Text("how often a member of the reference outscores another; 0.5 by chance", "dim")
    return section("Ranking by scores (area under the ROC curve)", Group(legend, table))
