"""Evaluated circuits as tables."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from circuits.circuit import Circuit
from circuits.cli.tables import basics as tables
from circuits.evaluation import Evaluation
from circuits.evaluation.config import Prompts
from circuits.summary import tables as summary


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
        (f"   {summary.evaluated_on(evaluation, found.prompts)}", "dim"),
    )
    kept = tables.table(summary.kept(evaluation, found.metric))
    return Group(
        title,
        Text(),
        *tables.section("What the circuit keeps", kept),
        *tables.section("Circuit", tables.figures(summary.evaluated(evaluation, found.circuit))),
        *(
            part
            for curve in evaluation.curves.values()
            for part in tables.section(
                summary.curve_title(curve), tables.table(summary.curve(curve))
            )
        ),
        *tables.section("Minimality: what each one's removal costs", _minimality(evaluation)),
    )


def _minimality(evaluation: Evaluation) -> RenderableType:
    costs = sorted((cost.value for cost in evaluation.minimality.values()), reverse=True)
    largest = max(map(abs, costs), default=0.0)
    bars = [tables.bar(cost, largest) for cost in costs]
    return tables.table(summary.minimality(evaluation), bars)
