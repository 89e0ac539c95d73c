"""What circuits of many seeds agree on, in words."""

from __future__ import annotations

from typing import Any

from circuits.graph import Mlps
from circuits.statistics import Inclusions
from circuits.studies import Consensus, SeedRecord
from circuits.summary.choice import whole
from circuits.summary.content import Table, measured


def kinds(record: SeedRecord) -> Table:
    """How many nodes and edges are core, contingent and noise, and how many no circuit has."""
    rule, rows = record.rule, []
    for name, every in ((name_of_nodes(record.mlps), record.nodes), ("edges", record.edges)):
        if every is not None:
            never = every.n_possible - len(every.rows)
            rows.append((name, *(f"{n:,}" for n in (*every.counts.values(), never))))
    legend = (
        f"core: in at least {rule.core:.0%} of the circuits; noise: no more often than random "
        "circuits of the same sizes would have it (false discovery rate "
        f"{rule.false_discovery_rate:.0%}); contingent: all others"
    )
    return Table(("", ">core", ">contingent", ">noise", ">never"), tuple(rows), legend)


def parts(record: SeedRecord, most: int | None = None) -> Table:
    """Edges, or nodes where there are none, by how many circuits have them; the first so many."""
    every: Inclusions[Any] = record.nodes if record.edges is None else record.edges
    rows = tuple(
        (
            str(row.item),
            f"{row.count} of {every.n_circuits}",
            f"[{row.share.low:.0%}, {row.share.high:.0%}]",
            row.kind,
        )
        for row in every.rows[:most]
    )
    legend = (
        f"{record.rule.confidence:.0%} interval (Clopper-Pearson) of the share of all seeds whose "
        "circuits would have it"
    )
    left = len(every.rows) - len(rows)
    more = f"; {left:,} more are not shown" if left else ""
    return Table(("", ">seeds", ">share", ""), rows, legend + more)


def consensus(found: Consensus) -> Table:
    """Size and performance of what at least so many circuits have."""
    n = len(found.seeds)
    rows = tuple(
        (
            f"{point.count} of {n}",
            f"{point.n_nodes:,}",
            f"{point.n_edges:,}",
            *measured(point.kept, 1),
            "consensus" if point is found.point else "",
        )
        for point in found.points
    )
    legend = f"% of {whole(found.config)}, on {found.n_prompts} prompts that no seed has seen"
    if found.unmeasured is not None:
        legend = f"not measured: {found.unmeasured}"
    nodes = name_of_nodes(found.circuit.mlps)
    return Table((">in", f">{nodes}", ">edges", ">keeps", "", ""), rows, legend)


def name_of_nodes(mlps: Mlps) -> str:
    """What nodes are called: heads, where nothing else is one."""
    return "nodes" if mlps == "nodes" else "heads"
