"""How a model does a task, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from circuits.behaviour import Behaviour
from circuits.cli.tables.basics import figures, section
from circuits.cli.tables.listings import visible


@dataclass(frozen=True)
class Answer:
    """What a model says to a prompt."""

    prompt: str
    said: str
    is_right: bool


def trial(
    behaviour: Behaviour, answers: Sequence[Answer], title: str, metric: str
) -> RenderableType:
    """How well a model does a task, and what it says to a few prompts."""
    rows = {
        "answers right": f"{behaviour.accuracy:.0%} of {behaviour.n_prompts} prompts, "
        "against the wrong answers of the task",
        "top-1": f"{behaviour.top_1:.0%}, against the whole vocabulary",
        f"{metric}, clean": f"{behaviour.clean_metric:.2f}",
        f"{metric}, corrupted": f"{behaviour.corrupted_metric:.2f}",
    }
    prompts = Table.grid(padding=(0, 1))
    for answer in answers:
        mark = Text("✓", "green") if answer.is_right else Text("✗", "red")
        said = Text(visible(answer.said), "bold green" if answer.is_right else "bold red")
        prompts.add_row(mark, Text.assemble(visible(answer.prompt), said))
    return Group(
        *section(title, figures(rows)),
        *section("Prompts, and the likeliest next token", prompts),
    )
