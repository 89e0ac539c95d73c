"""What heads look at and write, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from circuits.cli.tables import basics as tables
from circuits.components import Head
from circuits.roles import HeadReading, Role, RoleRule
from circuits.summary.content import Table
from circuits.tasks import PromptPairs

Row = dict[str, Any]


def rows(reading: HeadReading, names: Mapping[Head, Sequence[Role]]) -> list[Row]:
    """Measures and names of each head."""
    return [
        {"head": str(head), **_measures(reading, head), "roles": list(found)}
        for head, found in names.items()
    ]


def roles(
    title: str, pairs: PromptPairs, heads: list[Row], reading: HeadReading, rule: RoleRule
) -> RenderableType:
    """A row for each head."""
    about = (f"   {len(pairs)} prompts, seed {pairs.seed}", "dim")
    heading = Text.assemble((title, "bold"), about)
    return Group(heading, Text(), tables.table(_table(heads, reading, rule)))


def _measures(reading: HeadReading, head: Head) -> dict[str, float | None]:
    """None where nothing could be measured."""
    values = {name: float(of[head.layer, head.index]) for name, of in reading.measures().items()}
    return {name: None if isnan(value) else value for name, value in values.items()}


def _table(heads: list[Row], reading: HeadReading, rule: RoleRule) -> Table:
    measures = tuple(reading.measures())
    lines = [
        (one["head"], *(_number(one[name]) for name in measures), ", ".join(one["roles"]))
        for one in heads
    ]
    legend = (
        "attention to the token before, to the same token earlier and to what followed it, in "
        "repeated random tokens; to the answers; direct share of the logit difference\n"
        f"a name takes {rule.attention:.0%} of attention, {rule.direct:.0%} of the difference"
    )
    short = (f">{name.removeprefix('to_').removesuffix('_token')}" for name in measures)
    return Table(("head", *short, "name"), tuple(lines), legend)


def _number(value: float | None) -> str:
    # Adding 0 turns -0 into 0.
    return "–" if value is None else f"{round(value, 2) + 0.0:.2f}"
