"""Grids as tables."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from circuits.circuit import Circuit
from circuits.cli import tables
from circuits.discovery.result import Discovery
from circuits.search.rules import SelectionRule
from circuits.studies.grid import Grid

CHOSEN = "◀ chosen"
_ON_FRONT = "◆"


def grid(found: Grid) -> RenderableType:
    """Every circuit of a grid, and then the chosen one."""
    if found.found.refusal:
        return tables.discovery(found.found)
    table = tables.plain_table(
        ">threshold", ">min effect", ">heads", ">edges", ">sparsity", ">performance", ">IoU", ""
    )
    front = found.pareto
    for point in found.points:
        rule, circuit = point.selection, point.circuit
        table.add_row(
            threshold(rule, f"{rule.threshold:g}"),
            f"{rule.min_effect:g}",
            str(len(circuit)),
            str(len(circuit.edges)),
            f"{circuit.sparsity:.1%}",
            f"{point.performance:.1f}%",
            overlap(circuit, found.found.circuit),
            f"{_ON_FRONT if point in front else ' '} {CHOSEN if point == found.best else ''}",
        )
    legend = f"{_ON_FRONT} on the Pareto front of size and performance; IoU with the chosen circuit"
    return Group(
        *tables.section(f"Grid of {len(found.points)}", Group(Text(legend, "dim"), table)),
        *shortfall(found.found, found.keep),
        tables.discovery(found.found),
    )


def threshold(rule: SelectionRule, value: str) -> str:
    """A threshold as a cell; a rule that tests significance has none."""
    return "none" if rule.tests_significance else value


def shortfall(found: Discovery, keep: float) -> list[RenderableType]:
    """Said plainly where the circuit that was found keeps less than was asked for."""
    if found.performance >= keep:
        return []
    rest = f"the best one, shown below, keeps {found.performance:.1f}%"
    return [Text(f"No circuit keeps {keep:g}% of performance: {rest}.\n", "bold yellow")]


def overlap(circuit: Circuit, chosen: Circuit) -> str:
    """IoU of two circuits' heads; equal ones agree even where both are empty."""
    return "1.00" if circuit.heads == chosen.heads else f"{circuit.compare(chosen).iou:.2f}"
