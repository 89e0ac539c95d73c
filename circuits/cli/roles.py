"""The `roles` command: what the heads of a circuit look at and write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isnan
from typing import Any

from rich.console import Group
from rich.text import Text

from circuits.circuit import Circuit
from circuits.cli import tables
from circuits.cli.actions import ModelSource
from circuits.cli.console import out, print_json
from circuits.cli.errors import UsageError, usage_errors
from circuits.cli.progress import LOADING, show_progress
from circuits.cli.reading import read_named
from circuits.components import Head
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.result import Discovery
from circuits.forward import TransformerBridge
from circuits.model import DEFAULT_MODEL, tokenizer_of
from circuits.references import Reference
from circuits.roles import HeadReading, RoleRule, name_heads, read_heads
from circuits.summary.tables import Table
from circuits.tasks import PromptPairs, Task, get_task

_READING = "reading"


@dataclass(frozen=True)
class _Subject:
    """A circuit, and what is known of where it came from."""

    circuit: Circuit
    task: str | None = None
    model: str | None = None
    dtype: str | None = None
    found: Discovery | None = None

    @classmethod
    def of(cls, given: str) -> _Subject:
        """What a run, a file or a reference tells."""
        read = read_named(given)
        if isinstance(read, Circuit):
            return cls(read)
        if isinstance(read, Reference):
            return cls(read.circuit, read.task, read.model)
        if read.refusal:
            raise ValueError(f"{given} has no circuit to read: {read.refusal}")
        source = read.provenance
        return cls(read.circuit, source.task, source.model.name, source.model.dtype, read)


@dataclass(frozen=True)
class Prompts:
    """Which prompts were asked for; None leaves it to the circuit's discovery."""

    task: str | None
    n: int | None
    seed: int | None

    def task_of(self, subject: _Subject) -> Task:
        """The task. Raises UsageError where nothing says which, ValueError where it changed."""
        name = self.task or subject.task
        if name is None:
            raise UsageError("a circuit alone does not say whose prompts to read: add --task")
        task = get_task(name)
        if subject.found and self.task is None:
            subject.found.check_task(task)
        return task

    def sample(self, task: Task, subject: _Subject, bridge: TransformerBridge) -> PromptPairs:
        """The prompts of that task."""
        config = subject.found.config if subject.found else DiscoveryConfig()
        return task.sample(
            tokenizer_of(bridge),
            n=config.n_prompts if self.n is None else self.n,
            seed=config.seed if self.seed is None else self.seed,
            n_templates=config.n_templates,
        )


def roles(
    given: str,
    prompts: Prompts,
    source: ModelSource,
    rule: Mapping[str, float | None],
    as_json: bool,
) -> None:
    """Print the measures and names of a circuit's heads."""
    subject = _Subject.of(given)
    with usage_errors():
        task = prompts.task_of(subject)
        thresholds = RoleRule(**{name: of for name, of in rule.items() if of is not None})
    source = replace(source, name=source.name or subject.model, dtype=subject.dtype)
    with show_progress((LOADING, _READING)) as progress:
        bridge = source.load(progress)
        if subject.found:
            subject.found.check_model(bridge)
        progress.stage(_READING)
        pairs = prompts.sample(task, subject, bridge)
        reading = read_heads(bridge, pairs)
        names = name_heads(reading, subject.circuit, thresholds)
    shown = task.spec or task.name
    heads = [
        {"head": str(head), **_measures(reading, head), "roles": list(found)}
        for head, found in names.items()
    ]
    if as_json:
        print_json({"task": shown, "n_prompts": len(pairs), "seed": pairs.seed, "heads": heads})
        return
    title = Text.assemble(
        (f"{shown} on {source.name or DEFAULT_MODEL}", "bold"),
        (f"   {len(pairs)} prompts, seed {pairs.seed}", "dim"),
    )
    out.print(Group(title, Text(), tables.table(_table(heads, reading, thresholds))))


def _measures(reading: HeadReading, head: Head) -> dict[str, float | None]:
    """None where nothing could be measured."""
    values = {name: float(of[head.layer, head.index]) for name, of in reading.measures().items()}
    return {name: None if isnan(value) else value for name, value in values.items()}


def _table(heads: list[dict[str, Any]], reading: HeadReading, rule: RoleRule) -> Table:
    measures = tuple(reading.measures())
    rows = [
        (one["head"], *(_number(one[name]) for name in measures), ", ".join(one["roles"]))
        for one in heads
    ]
    legend = (
        "attention to the token before, to the same token earlier and to what followed it, in "
        "repeated random tokens; to the answers; direct share of the logit difference\n"
        f"a name takes {rule.attention:.0%} of attention, {rule.direct:.0%} of the difference"
    )
    short = (f">{name.removeprefix('to_').removesuffix('_token')}" for name in measures)
    return Table(("head", *short, "name"), tuple(rows), legend)


def _number(value: float | None) -> str:
    # Adding 0 turns -0 into 0.
    return "–" if value is None else f"{round(value, 2) + 0.0:.2f}"
