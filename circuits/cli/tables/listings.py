"""Tasks and models as tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from circuits.cli.tables.basics import HEADING, figures, plain_table, section
from circuits.errors import shortened
from circuits.model.catalogue import CatalogueEntry
from circuits.tasks import Task

_SHOWN_ANSWERS = 3
_LONGEST_PROMPT = 1000
_FAMILIES = (
    "GPT-2, GPT-NeoX (Pythia), Llama (SmolLM2), Qwen2, Qwen3 (and MoE), Gemma 3, OLMo, Mixtral, "
    "GPT-J, Phi, OPT, Granite, Cohere, GPT-Neo, Falcon, Bloom, GLM, GPT-OSS, "
    "and attention-only models of TransformerLens"
)


def tasks(known: Sequence[Task]) -> RenderableType:
    """Each task with what it asks, its source and an example pair."""
    hint = Text("circuits tasks NAME shows how well a model does one.", style="dim")
    return Group(*(_task(task) for task in known), hint)


def models(known: Sequence[CatalogueEntry]) -> RenderableType:
    """The models known by name, by where they come from, and which others can be given."""
    rows = {
        "--model takes": "one of these names, any other Hugging Face name, or a checkpoint "
        "directory (save_pretrained)",
        "supported": _FAMILIES,
        "anything else": "is compared with its own logits on loading, and refused where it is "
        "not reproduced",
    }
    sources = [
        part
        for source, entries in groupby(known, key=lambda entry: entry.source)
        for part in section(source[:1].upper() + source[1:], _models_of(list(entries)))
    ]
    return Group(*sources, *section("Which models work", figures(rows)))


def _models_of(entries: Sequence[CatalogueEntry]) -> RenderableType:
    table = plain_table("name", "layers×heads", "licence", "model")
    for column in table.columns[:2]:
        column.no_wrap = True
    for entry in entries:
        groups = "" if entry.n_kv_heads == entry.n_heads else f" ({entry.n_kv_heads} kv)"
        shape = f"{entry.n_layers}×{entry.n_heads}{groups}"
        table.add_row(entry.name, shape, entry.licence, entry.description)
    return table


def _task(task: Task) -> RenderableType:
    pair = task.example()
    rows = {
        "clean": visible(pair.clean),
        "corrupted": visible(pair.corrupted),
        "correct": _shortened(pair.correct),
        "wrong": _shortened(pair.wrong),
    }
    return Group(
        Text.assemble((task.name, HEADING), f"  {task.description}"),
        Padding(Text(_origin(task), "dim"), (0, 0, 0, 2), expand=False),
        Padding(figures(rows), (0, 0, 1, 2), expand=False),
    )


def _origin(task: Task) -> str:
    """Where a task is from, as far as it says, and its templates."""
    variants = f"{task.n_variants} variant{'s' * (task.n_variants != 1)}"
    return f"{task.source}; {variants}" if task.source else variants


def _shortened(answers: Sequence[str]) -> str:
    shown = [f"“{visible(answer)}”" for answer in answers[:_SHOWN_ANSWERS]]
    if len(answers) > _SHOWN_ANSWERS + 1:
        shown += ["…", f"“{visible(answers[-1])}”", f"({len(answers)} answers)"]
    elif len(answers) > _SHOWN_ANSWERS:
        shown.append(f"“{visible(answers[-1])}”")
    return " ".join(shown)


def visible(text: str) -> str:
    return shortened(text.replace("\n", "↵"), _LONGEST_PROMPT)
