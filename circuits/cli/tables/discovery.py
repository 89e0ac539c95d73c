"""Discovered circuits as tables."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from circuits.circuit import Circuit
from circuits.cli.tables.basics import bar, figures, names, section, table
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.result import Discovery
from circuits.summary import certainty, choice
from circuits.summary import tables as summary
from circuits.summary.ranking import strongest

_SHOWN_EDGES = 15


def discovery(found: Discovery) -> RenderableType:
    """All that a discovery found and what it cost."""
    settings, source = found.config, found.provenance
    title = Text.assemble(
        (f"{source.task} on {source.model.name}", "bold"),
        (f"   {method(settings)}, {settings.n_prompts} prompts, seed {settings.seed}", "dim"),
    )
    return Group(
        title,
        Text(),
        *section("Task", figures(summary.behaviour(found))),
        *(_no_circuit(found.refusal) if found.refusal else _found_circuit(found)),
        *section("Cost", table(summary.cost(found.cost))),
    )


def _no_circuit(refusal: str) -> list[RenderableType]:
    return [Text(f"no circuit: {refusal}\n", "bold yellow")]


def _found_circuit(found: Discovery) -> list[RenderableType]:
    certain, worth = certainty.rows(found), found.contributions
    return [
        *section("Circuit", figures(summary.circuit(found))),
        *(section("Sizes", table(choice.sizes(found.sizes))) if found.sizes else ()),
        *(section("Worth of heads", table(choice.contributions(worth))) if worth else ()),
        *(section("Verification", figures(certain)) if certain else ()),
        *section("Heads by layer", _heads_by_layer(found.circuit)),
        *section(*_strongest_edges(found.circuit)),
    ]


def where_saved(directory: Path | None, task: str) -> Text:
    """Where the run is, or how to save one."""
    if directory is None:
        return Text(f"Not saved; --out DIRECTORY keeps a run, for example --out runs/{task}", "dim")
    return Text.assemble("Saved to ", (str(directory), "bold"), overflow="fold")


def method(settings: DiscoveryConfig) -> str:
    """Its name, and the engine that patches paths, or which nodes there are."""
    words = f"{settings.method}, {settings.engine}" if settings.patches_paths else settings.method
    return f"{words}, MLPs as nodes" if settings.has_mlps else words


def _heads_by_layer(circuit: Circuit) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", style="dim", no_wrap=True)
    grid.add_column()
    for layer, heads in groupby(sorted(circuit.heads), key=lambda head: head.layer):
        grid.add_row(f"layer {layer}", names(heads))
    return grid if circuit.heads else Text("none")


def _strongest_edges(circuit: Circuit) -> tuple[str, RenderableType]:
    shown = strongest(circuit.edges, _SHOWN_EDGES)
    if not shown:
        return "Edges", Text("none")
    bars = [bar(-edge.effect, abs(shown[0].effect)) for edge in shown]
    heading = f"Strongest edges ({len(shown)} of {len(circuit.edges)})"
    return heading, table(summary.edges(circuit, _SHOWN_EDGES), bars)
