"""A discovery repeated over seeds, as tables."""

from __future__ import annotations

from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from circuits.cli.tables import basics as tables
from circuits.cli.tables.discovery import method
from circuits.statistics import Distribution
from circuits.studies import SeedStudy

_LEVELS = "▁▂▃▄▅▆▇█"
_FORMS = {"performance": "{:.1f}%", "heads": "{:.1f}", "edges": "{:.1f}", "sparsity": "{:.1%}"}
_SHARE = "{:.2f}"


def seeds(study: SeedStudy) -> RenderableType:
    """Every figure over seeds, and every head by how many circuits it is in."""
    settings, source = study.found.config, study.found.provenance
    numbers = ", ".join(str(run.seed) for run in study.runs)
    details = f"   {method(settings)}, {settings.n_prompts} prompts, seeds {numbers}"
    title = Text.assemble((f"{source.task} on {source.model.name}", "bold"), (details, "dim"))
    against = "" if study.against is None else f", against {study.against}"
    return Group(
        title,
        Text(),
        *_refusals(study),
        *tables.section(f"Figures over {len(study.runs)} seeds{against}", _figures(study)),
        *tables.section("Heads, by how many of the circuits have them", _heads(study)),
    )


def compact(figure: Distribution) -> str:
    """A histogram in one line, with the least and the largest value at its ends."""
    counts, edges = figure.histogram.counts, figure.histogram.edges
    top = max(counts, default=0)
    if not top:
        return ""
    bars = "".join(_LEVELS[round(c / top * (len(_LEVELS) - 1))] if c else " " for c in counts)
    return f"{edges[0]:.3g} {bars} {edges[-1]:.3g}"


def _refusals(study: SeedStudy) -> list[RenderableType]:
    by_seed = study.refusals
    lines = [f"no circuit on seed {seed}: {reason}" for seed, reason in by_seed.items()]
    return [Text("\n".join(lines) + "\n", "bold yellow")] if lines else []


def _figures(study: SeedStudy) -> RenderableType:
    """One line a figure in 80 columns; a star marks what the warnings are about."""
    rows = tables.plain_table(
        "", ">mean ± SD", ">best", ">worst", f">seed {study.reported}", "histogram"
    )
    lucky = {outlier.figure for outlier in study.outliers if outlier.seed == study.reported}
    for name, figure in study.figures.items():
        form = _FORMS.get(name, _SHARE)
        best, worst = (
            "none" if end is None else form.format(end[1]) for end in (figure.best, figure.worst)
        )
        spread = f"{form.format(figure.mean)} ± {form.format(figure.sd)}"
        own = Text(form.format(figure.values[study.reported]))
        if name in lucky:
            own.append(" *", "bold yellow")
        rows.add_row(name, spread, best, worst, own, compact(figure))
    return rows


def _heads(study: SeedStudy) -> RenderableType:
    rows = {
        f"{count} of {len(study.runs)}": tables.names(head for head, _ in heads)
        for count, heads in groupby(study.head_counts.items(), key=lambda item: item[1])
    }
    return tables.figures(rows) if rows else Text("none")
