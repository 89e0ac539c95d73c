"""What the commands do, between reading their options and printing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pydantic import ByteSize, TypeAdapter

from circuits.behaviour import answer_logits, measure_behaviour
from circuits.cli import listings, reports
from circuits.cli.console import out, print_json, print_warning
from circuits.cli.errors import UsageError, usage_errors
from circuits.cli.progress import LOADING, show_progress
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.run import STAGES
from circuits.forward import TransformerBridge
from circuits.metrics import get_metric
from circuits.model import DEFAULT_MODEL, load_model, tokenizer_of
from circuits.model import list_models as known_models
from circuits.pruning import PruningRule
from circuits.runtime.progress import Progress
from circuits.runtime.threads import use_threads
from circuits.search.rules import SelectionRule
from circuits.tasks import PromptPairs, get_task
from circuits.tasks import list_tasks as known_tasks

SHOWN_PROMPTS = 4


@dataclass(frozen=True)
class ModelSource:
    """Which model to load, and how; None leaves it to the library."""

    name: str | None
    device: str | None
    dtype: str | None
    threads: int | None = None

    def load(self, progress: Progress) -> TransformerBridge:
        """Load the model, telling what takes long."""
        part = progress.stage(LOADING)
        use_threads(self.threads)
        chosen: dict[str, Any] = {} if self.dtype is None else {"dtype": self.dtype}
        with usage_errors():
            bridge = load_model(
                self.name or DEFAULT_MODEL, device=self.device, progress=part.note, **chosen
            )
        part(1.0)
        return bridge


def discovery_config(options: Mapping[str, Any]) -> DiscoveryConfig:
    """Build the settings from the options that were given. Raises ValueError."""
    given = {name: value for name, value in options.items() if value is not None}
    if "memory_budget" in given:
        given["memory_bytes"] = _bytes(given["memory_budget"])
    given["selection"] = SelectionRule(**_fields_of(SelectionRule, given))
    if pruning := _fields_of(PruningRule, given):
        by_share = "score_share" in given and "cliff" not in given
        given["pruning"] = PruningRule(**({"cliff": "share"} if by_share else {}), **pruning)
    return DiscoveryConfig(**_fields_of(DiscoveryConfig, given))


def list_tasks(as_json: bool) -> None:
    """Print every task with an example."""
    known = [get_task(name) for name in known_tasks()]
    if as_json:
        print_json([reports.task(task) for task in known])
    else:
        out.print(listings.tasks(known))


def try_task(
    name: str, source: ModelSource, n_prompts: int, seed: int, metric: str, as_json: bool
) -> None:
    """Print how well a model does a task."""
    with usage_errors():
        task, measure = get_task(name), get_metric(metric)
        if n_prompts < 1:
            raise UsageError(f"--n-prompts must be at least 1, got {n_prompts}")
    with show_progress((LOADING, STAGES[0])) as progress:
        bridge = source.load(progress)
        part = progress.stage(STAGES[0])
        n = min(n_prompts, task.n_pairs or n_prompts)
        pairs = task.sample(tokenizer_of(bridge), n=n, seed=seed)
        behaviour = measure_behaviour(bridge, pairs, measure, progress=part)
        answers = answers_to(bridge, pairs[:SHOWN_PROMPTS])
    model = source.name or DEFAULT_MODEL
    if as_json:
        print_json(reports.behaviour(behaviour, name, model, metric))
    else:
        out.print(listings.trial(behaviour, answers, f"{name} on {model}", metric))
    if behaviour.weakness:
        print_warning(f"a circuit for {name} on {model} would mean little: {behaviour.weakness}")


def list_models(as_json: bool) -> None:
    """Print the models known by name."""
    if as_json:
        print_json([reports.model(entry) for entry in known_models()])
    else:
        out.print(listings.models(known_models()))


def answers_to(bridge: TransformerBridge, pairs: PromptPairs) -> list[listings.Answer]:
    """What the model says to a few prompts, and whether that is correct."""
    tokenizer = tokenizer_of(bridge)
    pairs = pairs.to(next(bridge.parameters()).device)
    said = answer_logits(bridge, pairs.clean, pairs).argmax(-1)
    right = (said[:, None] == pairs.correct).any(1)
    return [
        listings.Answer(prompt, str(tokenizer.decode([token])), is_right)
        for prompt, token, is_right in zip(
            pairs.clean_text, said.tolist(), right.tolist(), strict=True
        )
    ]


def _fields_of(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: given[field.name] for field in fields(kind) if field.name in given}


def _bytes(size: str) -> int:
    try:
        return int(TypeAdapter(ByteSize).validate_python(size))
    except ValueError as error:
        raise UsageError(
            f"--memory-budget must be a size such as 512MB or 4GiB, got {size!r}"
        ) from error
