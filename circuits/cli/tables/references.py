"""Published circuits as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from circuits.cli.tables.basics import figures, names, plain_table, section
from circuits.graph import Mlps
from circuits.references import Reference

_ENDS: dict[Mlps, str] = {"path": "these heads", "nodes": "these heads, MLPs and the embedding"}


def references(known: Sequence[Reference]) -> RenderableType:
    """One row each."""
    table = plain_table("name", "model", ">heads", ">edges", "source")
    table.columns[0].no_wrap = True
    for one in known:
        source = Text(one.citation.split(",")[0])
        if not one.verified:
            source.append("  unverified", "bold yellow")
        edges = str(len(one.edges)) if one.edges else "-"
        table.add_row(one.name, one.model, str(len(one.heads)), edges, source)
    hint = "circuits references NAME shows one; circuits compare RUN NAME compares with it."
    return Group(table, Text(), Text(hint, "dim"))


def reference(one: Reference) -> RenderableType:
    """Everything that is known of one."""
    title = Text.assemble((one.name, "bold"), f"   {one.task} on {one.model}")
    return Group(
        title,
        Text(),
        *section("Circuit", figures(_circuit(one))),
        *section(f"{len(one.heads)} heads by role", figures(_roles(one))),
        *section("Source", figures(_source(one))),
    )


def _circuit(one: Reference) -> dict[str, str]:
    rows = {
        "model": f"{one.model}, {one.n_layers} layers x {one.n_heads} heads",
        "edges": f"{len(one.edges)} between {_ENDS[one.graph]} and to the logits"
        if one.edges
        else "none given",
    }
    if one.mlps:
        note = "" if one.graph == "nodes" else " (published with it; not compared)"
        rows["MLPs"] = f"{', '.join(map(str, one.mlps))}{note}"
    return rows


def _roles(one: Reference) -> dict[str, str]:
    return {role: names(heads) for role, heads in one.roles.items()}


def _source(one: Reference) -> dict[str, str]:
    rows = {
        "citation": one.citation,
        "read from": "\n".join(one.read_from),
        "verified": "yes, in a primary source" if one.verified else "no",
    }
    if one.note:
        rows["note"] = one.note
    if one.made_with is not None:
        rows |= _settings(one.made_with["config"])
    return rows


def _settings(config: dict) -> dict[str, str]:
    rule = config["selection"]
    return {
        "made with": f"{config['method']}, {config['engine']}; {config['n_prompts']} prompts, "
        f"seed {config['seed']}, {config['metric']}",
        "selection": f"threshold {rule['threshold']} (logits {rule['logits_threshold']}), smallest "
        f"effect {rule['min_effect']}, distance {rule['distance']}",
    }
