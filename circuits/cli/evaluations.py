"""Evaluated circuits as tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from circuits.circuit import Circuit
from circuits.cli import tables
from circuits.evaluation import Curve, Evaluation, Gap, Kept
from circuits.evaluation.config import Prompts

_REPLACED_BY = {
    "mean": "means over corrupted prompts",
    "resample": "outputs on the corrupted prompt",
    "zero": "zeros",
}


@dataclass(frozen=True)
class Subject:
    """What an evaluation is of; `prompts` is None where nothing is known of the discovery's."""

    circuit: Circuit
    task: str
    model: str
    metric: str
    prompts: Prompts | None


def evaluation(evaluation: Evaluation, found: Subject) -> RenderableType:
    """All figures of a circuit, each with its interval."""
    title = Text.assemble(
        (f"{found.task} on {found.model}", "bold"),
        (
            f"   {_prompts(evaluation, found)}, {evaluation.confidence:.0%} intervals over prompts",
            "dim",
        ),
    )
    return Group(
        title,
        Text(),
        *tables.section("What the circuit keeps", _kept(evaluation, found)),
        *tables.section("Circuit", tables.figures(_circuit(evaluation, found))),
        *_curves(evaluation.curves.values()),
        *tables.section("Minimality: what each head's removal costs", _minimality(evaluation)),
    )


def _prompts(evaluation: Evaluation, found: Subject) -> str:
    kinds = {"held-out": "held-out prompts", "discovery": "prompts of the discovery"}
    kind = "prompts" if found.prompts is None else kinds[found.prompts]
    return f"{evaluation.n_prompts} {kind}, seed {evaluation.seed}"


def _kept(evaluation: Evaluation, found: Subject) -> RenderableType:
    table = tables.plain_table("outside the circuit", ">performance", "", ">faithfulness", "")
    for ablation, kept in evaluation.node_level.items():
        table.add_row(f"heads give {_REPLACED_BY[ablation]}", *_row(kept))
    if evaluation.edge_level is not None:
        table.add_row("every path is corrupted", *_row(evaluation.edge_level))
    metric = f"the model's {found.metric}, {evaluation.full_metric:.2f}"
    legend = f"performance: % of {metric}; faithfulness: 0 without any head, 1 the model"
    return Group(Text(legend, "dim"), table)


def _row(kept: Kept) -> tuple[str, str, str, str]:
    performance, faithfulness = kept.performance, kept.faithfulness
    return (
        f"{performance.value:.1f}%",
        f"[{performance.low:.1f}, {performance.high:.1f}]",
        f"{faithfulness.value:.3f}",
        f"[{faithfulness.low:.3f}, {faithfulness.high:.3f}]",
    )


def _circuit(evaluation: Evaluation, found: Subject) -> dict[str, str]:
    rows = {
        "completeness": f"{evaluation.completeness:.1f} % left without its heads (0 is complete)",
        "sparsity": tables.sparsity(found.circuit),
    }
    if evaluation.edge_sparsity is not None:
        rows["of paths"] = f"{evaluation.edge_sparsity:.2%} of the model's paths are outside"
    gaps = (("gap", evaluation.gap), ("gap of paths", evaluation.edge_gap))
    return rows | {name: _gap(gap) for name, gap in gaps if gap is not None}


def _gap(gap: Gap) -> str:
    return (
        f"{gap.difference:+.1f} points against the discovery's prompts "
        f"({gap.discovery.value:.1f}% there)"
    )


def _curves(curves: Iterable[Curve]) -> list[RenderableType]:
    return [
        part
        for curve in curves
        for part in tables.section(
            f"Faithfulness against size, {curve.ranking} ranking by {curve.score}", _curve(curve)
        )
    ]


def _curve(curve: Curve) -> RenderableType:
    areas = {"CPR": f"{curve.cpr:.3f}", "CMD": f"{curve.cmd:.3f}"}
    table = tables.plain_table(">heads", ">share", ">faithfulness", "")
    seen = set()
    for point in curve.points:
        if point.n_heads not in seen:
            seen.add(point.n_heads)
            value = point.faithfulness
            interval = f"[{value.low:.3f}, {value.high:.3f}]"
            table.add_row(str(point.n_heads), f"{point.share:.1%}", f"{value.value:.3f}", interval)
    legend = f"the other heads give {_REPLACED_BY[curve.ablation]}; areas as MIB takes them"
    return Group(Text(legend, "dim"), tables.figures(areas), table)


def _minimality(evaluation: Evaluation) -> Table:
    table = tables.plain_table("head", ">points lost", "", "")
    costs = sorted(evaluation.minimality.items(), key=lambda item: -item[1].value)
    largest = max((abs(cost.value) for _, cost in costs), default=0.0)
    for head, cost in costs:
        interval = f"[{cost.low:.2f}, {cost.high:.2f}]"
        table.add_row(str(head), f"{cost.value:.2f}", interval, tables.bar(cost.value, largest))
    return table
