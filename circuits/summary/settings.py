"""The settings of a run: as rows, and as Python that runs it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from circuits.discovery.result import Discovery
from circuits.errors import InputError
from circuits.pruning.rule import PruningRule
from circuits.runtime.settings import in_words

_INDENT = "    "


def rows(config: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every setting of a configuration, those of its parts under their names."""
    for field in fields(config):
        value, name = getattr(config, field.name), f"{prefix}{field.name.replace('_', ' ')}"
        if is_dataclass(value):
            yield from rows(value, f"{name}: ")
        else:
            yield name, in_words(value)


def of_run(found: Discovery) -> Iterator[tuple[str, str]]:
    """Every setting of a run, with the rule that pruned where none was asked for."""
    rule = pruning_rule(found)
    for name, value in rows(found.config):
        if name == "pruning" and rule is not None:
            yield from rows(rule, f"{name}: ")
        else:
            yield name, value


def pruning_rule(found: Discovery) -> PruningRule | None:
    """The rule that pruned; None where a method or score chose it that is unknown here."""
    try:
        return found.config.pruning_rule
    except InputError:
        return None


def python_code(found: Discovery) -> str:
    """Python that discovers the circuit again."""
    source, parts = found.provenance, ["DiscoveryConfig"]
    settings = {field.name: getattr(found.config, field.name) for field in fields(found.config)}
    parts += sorted({type(value).__name__ for value in settings.values() if is_dataclass(value)})
    return "\n".join(
        [
            f"from circuits import {', '.join((*parts, 'load_model'))}",
            "from circuits.discover import run_discovery",
            "from circuits.tasks import get_task",
            "",
            f"model = load_model({source.model.name!r}, dtype={source.model.dtype!r})",
            f"config = DiscoveryConfig({_arguments(settings)})",
            f"found = run_discovery(model, get_task({source.task!r}), config)",
        ]
    )


def _arguments(settings: Mapping[str, Any]) -> str:
    lines = [f"{_INDENT}{name}={value!r}," for name, value in settings.items()]
    return "\n" + "\n".join(lines) + "\n"
