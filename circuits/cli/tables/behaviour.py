"""How a model does a task, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from circuits.behaviour import Behaviour, answer_logits
from circuits.cli.tables.basics import figures, section
from circuits.cli.tables.listings import visible
from circuits.forward import TransformerBridge
from circuits.model import tokenizer_of
from circuits.tasks import PromptPairs

SHOWN_PROMPTS = 4


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


def answers_to(bridge: TransformerBridge, pairs: PromptPairs) -> list[Answer]:
    """What the model says to the first few prompts, and whether that is correct."""
    tokenizer = tokenizer_of(bridge)
    pairs = pairs[:SHOWN_PROMPTS].to(next(bridge.parameters()).device)
    said = answer_logits(bridge, pairs.clean, pairs).argmax(-1)
    right = (said[:, None] == pairs.correct).any(1)
    return [
        Answer(prompt, str(tokenizer.decode([token])), is_right)
        for prompt, token, is_right in zip(
            pairs.clean_text, said.tolist(), right.tolist(), strict=True
        )
    ]
