"""The `study` command; a module of its own because Optuna takes long to import."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from circuits.cli import points, reports, tables
from circuits.cli.errors import usage_errors
from circuits.cli.searches import Asked, Search, carry_out
from circuits.studies.tuning import STUDY_STAGES, Study, Trial, check_study, discover_study


def study(asked: Asked, n_trials: int, keep: float) -> None:
    """Search all settings for the smallest circuit that keeps enough."""
    with usage_errors():
        config = asked.config()
        check_study(config, n_trials, keep)

    def run(search: Search) -> Study:
        return discover_study(
            search.bridge,
            search.task,
            n_trials=n_trials,
            keep=keep,
            config=config,
            directory=asked.directory,
            progress=search.progress,
            resume=asked.resume,
        )

    carry_out(
        asked,
        STUDY_STAGES,
        run,
        circuit=lambda found: found.found.circuit,
        report=lambda found, saved: {
            **found.to_dict(),
            "found": reports.discovery(found.found, saved),
        },
        table=table,
    )


def table(found: Study) -> RenderableType:
    """The Pareto front of a study, and then the chosen circuit."""
    if found.found.refusal:
        return tables.discovery(found.found)
    rows = tables.plain_table(
        ">threshold", ">logits", ">min effect", "cut", ">left", ">heads", ">keeps", ">IoU"
    )
    rows.add_column()
    shown = {id(point): point for point in (*found.pareto, found.best)}.values()
    for trial in sorted(shown, key=lambda t: (len(t.circuit), -t.performance)):
        rule, circuit = trial.selection, trial.circuit
        rows.add_row(
            points.threshold(rule, f"{rule.threshold:.2f}"),
            points.threshold(rule, f"{rule.logits_threshold:.2f}"),
            f"{rule.min_effect:.2g}",
            _cut(trial),
            str(trial.n_candidates),
            str(len(circuit)),
            f"{trial.performance:.1f}%",
            points.overlap(circuit, found.found.circuit),
            points.CHOSEN if trial == found.best else "",
        )
    legend = "by estimated effects; left: heads that pruning leaves; IoU with the chosen circuit"
    heading = f"Pareto front of {found.n_trials} trials"
    return Group(
        *tables.section(heading, Group(Text(legend, "dim"), rows)),
        *points.shortfall(found.found, found.keep),
        tables.discovery(found.found),
    )


def _cut(trial: Trial) -> str:
    """Which cliff ended the pruning, or the sparsity that it was given."""
    if trial.pruning is None:
        return "none"
    rule = trial.pruning
    return f"{rule.fixed_sparsity:.0%}" if rule.cliff == "fixed" else rule.cliff
