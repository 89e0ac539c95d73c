"""`circuits roles`: what the heads of a circuit do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from circuits.circuit import Circuit
from circuits.cli import options
from circuits.cli.errors import UsageError, usage_errors
from circuits.cli.inputs import ModelSource, read_named
from circuits.cli.progress import LOADING, show_progress
from circuits.cli.setting_options import takes_settings
from circuits.cli.terminal import out, print_json
from circuits.discovery.config import DiscoveryConfig
from circuits.errors import InputError
from circuits.references import Reference
from circuits.roles.rule import RoleRule
from circuits.runtime.sizes import LARGEST_SEED, MOST_PROMPTS
from circuits.tasks import Task, get_task

if TYPE_CHECKING:
    from circuits.discovery.result import Discovery
    from circuits.forward import TransformerBridge
    from circuits.tasks import PromptPairs

_READING = "reading"
ReadTask = Annotated[
    str | None,
    typer.Option(metavar="TASK", help="Whose prompts to read heads on; for a circuit as JSON."),
]
ReadPromptCount = Annotated[
    int | None,
    typer.Option(
        "--n-prompts",
        metavar="N",
        min=1,
        max=MOST_PROMPTS,
        help="Prompts; default the discovery's, or 16.",
    ),
]
ReadSeed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        min=0,
        max=LARGEST_SEED,
        help="Seed of these; default the discovery's, or 0.",
    ),
]


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
            raise InputError(f"{given} has no circuit to read: {read.refusal}")
        source = read.provenance
        return cls(read.circuit, source.task, source.model.name, source.model.dtype, read)

    def task_of(self, name: str | None) -> Task:
        """The task. Raises UsageError where nothing says which, MismatchError where it changed."""
        chosen = self.task if name is None else name
        if chosen is None:
            raise UsageError("a circuit alone does not say whose prompts to read: add --task")
        task = get_task(chosen)
        if self.found and name is None:
            self.found.check_task(task)
        return task

    def sample(
        self, task: Task, n: int | None, seed: int | None, bridge: TransformerBridge
    ) -> PromptPairs:
        """The prompts of a task: as many as were asked for, or as the discovery had."""
        from circuits.model import tokenizer_of

        config = self.found.config if self.found else DiscoveryConfig()
        return task.sample(
            tokenizer_of(bridge),
            n=config.n_prompts if n is None else n,
            seed=config.seed if seed is None else seed,
            n_templates=config.n_templates,
        )


@takes_settings(RoleRule)
def roles(
    circuit: options.AnyCircuit,
    task: ReadTask = None,
    *,
    n_prompts: ReadPromptCount = None,
    seed: ReadSeed = None,
    threads: options.Threads = None,
    model: options.SavedModel = None,
    device: options.Device = None,
    json: options.Json = False,
    given: dict[str, Any],
) -> None:
    """Show what the heads of a circuit look at and write, and names for them by that."""
    subject = _Subject.of(circuit)
    with usage_errors():
        known = subject.task_of(task)
        rule = RoleRule(**{name: value for name, value in given.items() if value is not None})
    source = ModelSource(model, device, None, threads)
    source.check()
    source = source.or_else(subject.model, subject.dtype)
    from circuits.cli.tables import roles as tables
    from circuits.roles import name_heads, read_heads

    with show_progress((LOADING, _READING)) as progress:
        bridge = source.load(progress)
        if subject.found:
            subject.found.check_model(bridge)
        progress.stage(_READING)
        pairs = subject.sample(known, n_prompts, seed, bridge)
        reading = read_heads(bridge, pairs)
        names = name_heads(reading, subject.circuit, rule)
    shown, heads = known.spec or known.name, tables.rows(reading, names)
    if json:
        print_json({"task": shown, "n_prompts": len(pairs), "seed": pairs.seed, "heads": heads})
    else:
        out.print(tables.roles(f"{shown} on {source.shown}", pairs, heads, reading, rule))


COMMANDS = {
    "roles": options.command(
        roles,
        "roles",
        "circuits roles runs/ioi",
        "circuits roles ioi-smollm2-135m --n-prompts 64",
        "circuits roles theirs.json --task ioi --model gpt2 --json",
    )
}
