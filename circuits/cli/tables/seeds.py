"""A discovery repeated over seeds, as tables."""

from __future__ import annotations

from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from circuits.cli.tables import basics as tables
from circuits.cli.tables.discovery import method
from circuits.statistics import Distribution
from circuits.studies import SeedRecord, SeedStudy
from circuits.summary import agreement as summary

_LEVELS = "▁▂▃▄▅▆▇█"
_FORMS = {"performance": "{:.1f}%", "heads": "{:.1f}", "edges": "{:.1f}", "sparsity": "{:.1%}"}
_SHARE = "{:.2f}"
_SHOWN_EDGES = 15


def seeds(study: SeedStudy) -> RenderableType:
    """Every figure over seeds, and what their circuits have in common."""
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
        *_agreement(study),
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


def _agreement(study: SeedStudy) -> list[RenderableType]:
    """Which nodes and edges the circuits have in common, and what these keep by themselves."""
    record, name = study.record, summary.name_of_nodes(study.graph.mlps).capitalize()
    sections = [tables.section(f"{name}, by how many of the circuits have them", _nodes(record))]
    if record.nodes.rows:
        sections.append(tables.section("Core and contingent", tables.table(summary.kinds(record))))
    if record.edges is not None and record.edges.rows:
        edges = tables.table(summary.parts(record, _SHOWN_EDGES))
        sections.append(tables.section("Edges, by how many of the circuits have them", edges))
    if record.consensus is not None:
        found = tables.table(summary.consensus(record.consensus))
        sections.append(tables.section("Consensus", found))
    return [part for section in sections for part in section]


def _nodes(record: SeedRecord) -> RenderableType:
    rows = {
        f"{count} of {len(record.seeds)}": "  ".join(str(row.item) for row in some)
        for count, some in groupby(record.nodes.rows, key=lambda row: row.count)
    }
    return tables.figures(rows) if rows else Text("none")
