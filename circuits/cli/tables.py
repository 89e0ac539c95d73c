"""Discovered and compared circuits as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from circuits.circuit import Circuit
from circuits.cli import certainty
from circuits.components import Head
from circuits.config import DiscoveryConfig
from circuits.cost import Cost
from circuits.result import Discovery

HEADING = "bold cyan"
_SHOWN_EDGES = 15
_BAR_WIDTH = 20
_FLOP_UNITS = ((10**15, "P"), (10**12, "T"), (10**9, "G"), (10**6, "M"), (1, ""))


def discovery(found: Discovery) -> RenderableType:
    """All that a discovery found and what it cost."""
    settings, source = found.config, found.provenance
    title = Text.assemble(
        (f"{source.task} on {source.model.name}", "bold"),
        (f"   {_method(settings)}, {settings.n_prompts} prompts, seed {settings.seed}", "dim"),
    )
    return Group(
        title,
        Text(),
        *section("Task", figures(_behaviour(found))),
        *section("Circuit", figures(_circuit(found))),
        *(section("Verification", figures(certain)) if (certain := certainty.rows(found)) else ()),
        *section("Heads by layer", _heads_by_layer(found.circuit)),
        *section(*_strongest_edges(found.circuit)),
        *section("Cost", _cost(found.cost)),
    )


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


def bar(support: float, largest: float) -> Text:
    """A bar as long as the value's share of the largest: green for the task, red against it."""
    length = round(_BAR_WIDTH * abs(support) / largest) if largest else 0
    return Text("█" * length, "green" if support > 0 else "red")


def names(heads: Iterable[Head]) -> str:
    """Heads in order, side by side."""
    return "  ".join(str(head) for head in sorted(heads))


def _method(settings: DiscoveryConfig) -> str:
    return f"{settings.method}, {settings.engine}" if settings.patches_paths else settings.method


def _behaviour(found: Discovery) -> dict[str, str]:
    behaviour = found.behaviour
    return {
        "model answers": f"{behaviour.accuracy:.0%} right, {behaviour.top_1:.0%} top-1",
        found.config.metric: f"{behaviour.clean_metric:.2f} clean, "
        f"{behaviour.corrupted_metric:.2f} corrupted",
    }


def _circuit(found: Discovery) -> dict[str, str]:
    circuit = found.circuit
    every = circuit.n_layers * circuit.n_heads
    prunings = ", ".join(f"{name} {len(p.candidates)}" for name, p in found.prunings.items())
    kept = f"{len(found.candidates)} heads left by pruning ({prunings})"
    return {
        "size": f"{len(circuit)} of {every} heads, {len(circuit.edges)} edges",
        "sparsity": sparsity(circuit),
        "performance": f"{found.performance:.1f}% of the model's {found.config.metric}",
        "candidates": kept if prunings else f"all {every} heads (nothing pruned)",
    }


def sparsity(circuit: Circuit) -> str:
    """How much of the model is outside."""
    return f"{circuit.sparsity:.1%} of the model's heads are outside"


def _heads_by_layer(circuit: Circuit) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", style="dim", no_wrap=True)
    grid.add_column()
    for layer, heads in groupby(sorted(circuit.heads), key=lambda head: head.layer):
        grid.add_row(f"layer {layer}", names(heads))
    return grid if circuit.heads else Text("none")


def _strongest_edges(circuit: Circuit) -> tuple[str, RenderableType]:
    edges = sorted(circuit.edges, key=lambda edge: -abs(edge.effect))
    shown = edges[:_SHOWN_EDGES]
    if not shown:
        return "Edges", Text("none")
    table = plain_table("sender", "receiver", ">effect", "")
    for edge in shown:
        strength = bar(-edge.effect, abs(shown[0].effect))
        table.add_row(str(edge.sender), f"→ {edge.receiver}", f"{edge.effect:+.3f}", strength)
    legend = Text("effect of corrupting it: -1 undoes the task, above 0 it helps", "dim")
    return f"Strongest edges ({len(shown)} of {len(edges)})", Group(legend, table)


def _cost(cost: Cost) -> Table:
    table = plain_table("stage", ">FLOPs", ">forward passes", ">seconds", ">peak memory")
    rows = [(s.stage, s.flops, s.seconds, s.peak_memory_bytes) for s in cost.stages]
    rows.append(("total", cost.flops, cost.seconds, cost.peak_memory_bytes))
    for name, flops, seconds, memory in rows:
        passes = f"{flops / cost.forward_pass_flops:,.1f}"
        style = "bold" if name == "total" else ""
        table.add_row(name, _flops(flops), passes, f"{seconds:.1f}", decimal(memory), style=style)
    return table


def _flops(count: int) -> str:
    scale, prefix = next((u for u in _FLOP_UNITS if count >= u[0]), _FLOP_UNITS[-1])
    return f"{count / scale:.3g} {prefix}".rstrip()
