"""Discovered and compared circuits as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from circuits.circuit import Circuit
from circuits.components import Head
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.result import Discovery
from circuits.summary import certainty
from circuits.summary import tables as facts

HEADING = "bold cyan"
_SHOWN_EDGES = 15
_BAR_WIDTH = 20


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
        *section("Task", figures(facts.behaviour(found))),
        *(_no_circuit(found.refusal) if found.refusal else _found_circuit(found)),
        *section("Cost", table(facts.cost(found.cost))),
    )


def _no_circuit(refusal: str) -> list[RenderableType]:
    return [Text(f"no circuit: {refusal}\n", "bold yellow")]


def _found_circuit(found: Discovery) -> list[RenderableType]:
    certain = certainty.rows(found)
    return [
        *section("Circuit", figures(facts.circuit(found))),
        *(section("Verification", figures(certain)) if certain else ()),
        *section("Heads by layer", _heads_by_layer(found.circuit)),
        *section(*_strongest_edges(found.circuit)),
    ]


def where_saved(directory: Path | None, task: str) -> Text:
    """Where the run is, or how to save one."""
    if directory is None:
        return Text(f"Not saved; --out DIRECTORY keeps a run, for example --out runs/{task}", "dim")
    return Text.assemble("Saved to ", (str(directory), "bold"), overflow="fold")


def section(heading: str, body: RenderableType) -> tuple[RenderableType, RenderableType]:
    """A heading and an indented body."""
    return Text(heading, HEADING), Padding(body, (0, 0, 1, 2), expand=False)


def figures(rows: Mapping[str, str]) -> Table:
    """Names and values, side by side."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for name, value in rows.items():
        grid.add_row(name, Text(value))
    return grid


def plain_table(*headers: str) -> Table:
    """A table without frames; a header that starts with ">" is aligned right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for header in headers:
        justify = "right" if header.startswith(">") else "left"
        table.add_column(header.removeprefix(">"), justify=justify)
    return table


def table(content: facts.Table, bars: Sequence[Text] = ()) -> RenderableType:
    """Rows in words as a table, perhaps with a bar behind each."""
    grid = plain_table(*content.headers, *([""] if bars else []))
    for number, cells in enumerate(content.rows):
        is_total = content.has_total and number == len(content.rows) - 1
        grid.add_row(*cells, *bars[number : number + 1], style="bold" if is_total else "")
    return Group(Text(content.legend, "dim"), grid) if content.legend else grid


def bar(support: float, largest: float) -> Text:
    """A bar as long as the value's share of the largest: green for the task, red against it."""
    length = round(_BAR_WIDTH * abs(support) / largest) if largest else 0
    return Text("█" * length, "green" if support > 0 else "red")


def names(heads: Iterable[Head]) -> str:
    """Heads in order, side by side."""
    return "  ".join(str(head) for head in sorted(heads))


def method(settings: DiscoveryConfig) -> str:
    return f"{settings.method}, {settings.engine}" if settings.patches_paths else settings.method


def _heads_by_layer(circuit: Circuit) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", style="dim", no_wrap=True)
    grid.add_column()
    for layer, heads in groupby(sorted(circuit.heads), key=lambda head: head.layer):
        grid.add_row(f"layer {layer}", names(heads))
    return grid if circuit.heads else Text("none")


def _strongest_edges(circuit: Circuit) -> tuple[str, RenderableType]:
    shown = facts.strongest(circuit, _SHOWN_EDGES)
    if not shown:
        return "Edges", Text("none")
    bars = [bar(-edge.effect, abs(shown[0].effect)) for edge in shown]
    heading = f"Strongest edges ({len(shown)} of {len(circuit.edges)})"
    return heading, table(facts.edges(circuit, _SHOWN_EDGES), bars)
