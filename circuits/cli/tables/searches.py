"""Grids and studies as tables."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from circuits.circuit import Circuit
from circuits.cli.tables import basics as tables
from circuits.cli.tables.discovery import discovery
from circuits.discovery.result import Discovery
from circuits.search.rules import SelectionRule
from circuits.studies.grid import Grid
from circuits.studies.trials import Trial
from circuits.studies.tuning import Study

CHOSEN = "◀ chosen"
_ON_FRONT = "◆"


def grid(found: Grid) -> RenderableType:
    """Every circuit of a grid, and then the chosen one."""
    if found.found.refusal:
        return discovery(found.found)
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
        discovery(found.found),
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


def study(found: Study) -> RenderableType:
    """The Pareto front of a study, and then the chosen circuit."""
    if found.found.refusal:
        return discovery(found.found)
    unit = "heads" if found.found.circuit.mlps == "path" else "edges"
    rows = tables.plain_table(
        ">threshold", ">logits", ">min effect", "cut", ">left", f">{unit}", ">keeps", ">IoU"
    )
    rows.add_column()
    shown = {id(point): point for point in (*found.pareto, found.best)}.values()
    for trial in sorted(shown, key=lambda t: (t.size, -t.performance)):
        rule, circuit = trial.selection, trial.circuit
        rows.add_row(
            threshold(rule, f"{rule.threshold:.2f}"),
            threshold(rule, f"{rule.logits_threshold:.2f}"),
            f"{rule.min_effect:.2g}",
            _cut(trial),
            str(trial.n_candidates),
            str(trial.size),
            f"{trial.performance:.1f}%",
            overlap(circuit, found.found.circuit),
            CHOSEN if trial == found.best else "",
        )
    legend = "by estimated effects; left: heads that pruning leaves; IoU with the chosen circuit"
    heading = f"Pareto front of {found.n_trials} trials"
    return Group(
        *tables.section(heading, Group(Text(legend, "dim"), rows)),
        *shortfall(found.found, found.keep),
        discovery(found.found),
    )


def _cut(trial: Trial) -> str:
    """Which cliff ended the pruning, or the sparsity that it was given."""
    if trial.pruning is None:
        return "none"
    rule = trial.pruning
    return f"{rule.fixed_sparsity:.0%}" if rule.cliff == "fixed" else rule.cliff
