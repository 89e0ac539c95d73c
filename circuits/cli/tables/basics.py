"""What every table is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from circuits.components import Head
from circuits.summary.content import Table as Content

HEADING = "bold cyan"
_BAR_WIDTH = 20


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


def table(content: Content, bars: Sequence[Text] = ()) -> RenderableType:
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
