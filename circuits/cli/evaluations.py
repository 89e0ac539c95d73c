"""Evaluated circuits as tables."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from circuits.cli import tables
from circuits.evaluation import Evaluation
from circuits.report import facts
from circuits.result import Discovery


def evaluation(evaluation: Evaluation, found: Discovery) -> RenderableType:
    """All figures of a circuit, each with its interval."""
    title = Text.assemble(
        (f"{found.provenance.task} on {found.provenance.model.name}", "bold"),
        (f"   {facts.evaluated_on(evaluation)}", "dim"),
    )
    kept = tables.table(facts.kept(evaluation, found.config.metric))
    return Group(
        title,
        Text(),
        *tables.section("What the circuit keeps", kept),
        *tables.section("Circuit", tables.figures(facts.evaluated(evaluation, found))),
        *(
            part
            for curve in evaluation.curves.values()
            for part in tables.section(facts.curve_title(curve), tables.table(facts.curve(curve)))
        ),
        *tables.section("Minimality: what each head's removal costs", _minimality(evaluation)),
    )


def _minimality(evaluation: Evaluation) -> RenderableType:
    costs = sorted((cost.value for cost in evaluation.minimality.values()), reverse=True)
    largest = max(map(abs, costs), default=0.0)
    bars = [tables.bar(cost, largest) for cost in costs]
    return tables.table(facts.minimality(evaluation), bars)
