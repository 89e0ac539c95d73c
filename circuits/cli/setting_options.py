"""Options read off the fields of configs, and given to commands that take them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from circuits.cli import options
from circuits.discovery.config import DiscoveryConfig
from circuits.pruning.rule import PruningRule
from circuits.runtime.settings import Described, described, in_words
from circuits.search.rules import SelectionRule

Command = Callable[..., None]
_SIMPLE = (bool, int, float, str)

Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIRECTORY",
        help="Save the run here, and keep effects in DIRECTORY/work as they become known, so that "
        "the same command again goes on from there; without it nothing is written.",
        rich_help_panel="Output",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Refuse to run unless --out holds a begun run of the same model, prompts and metric.",
        rich_help_panel="Output",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace what --out holds of another task, model or prompts, and files of a run's "
        "names that no run wrote. Without it, such a directory is refused.",
        rich_help_panel="Output",
    ),
]
_AROUND: tuple[tuple[str, Any, Any], ...] = (
    ("threads", options.Threads, None),
    ("model", options.Model, None),
    ("device", options.Device, None),
    ("dtype", options.DataType, None),
    ("out", Out, None),
    ("resume", Resume, False),
    ("overwrite", Overwrite, False),
    ("json", options.Json, False),
)
"""What every search takes beside its settings: where the model is, and where results go."""


def takes_search_options(
    *without: str, beside: tuple[type, ...] = (), **usual: Any
) -> Callable[[Command], Command]:
    """Give a command all options of a search `without` some; it gets their values as `given`.

    `beside` are configs of the command's own. `usual` has what the command takes, and others do
    not, where an option is not given.
    """
    configs = *beside, DiscoveryConfig, SelectionRule, PruningRule
    settings = of_configs(*configs, without=without, usual=usual)
    return _with([*settings, *(_parameter(*one) for one in _AROUND)])


def takes_settings(config: type, *without: str) -> Callable[[Command], Command]:
    """Give a command an option for each setting of a config; it gets their values as `given`."""
    return _with(list(of_configs(config, without=without)))


def of_configs(
    *configs: type, without: tuple[str, ...] = (), usual: Mapping[str, Any] | None = None
) -> Iterator[Parameter]:
    """An option for each setting; None where it is not given."""
    for config in configs:
        for described_one in described(config):
            one = replace(
                described_one,
                default=(usual or {}).get(described_one.name, described_one.default),
            )
            if one.kind in _SIMPLE and one.setting.option != "" and one.name not in without:
                yield _parameter(one.name, _option(one), None)


def flag_of(name: str) -> str:
    """How an option is written that is named as its setting."""
    return f"--{name.replace('_', '-')}"


def _option(one: Described) -> Any:
    setting, kind = one.setting, str if one.setting.parse else one.kind
    written = setting.option or flag_of(one.name)
    more: dict[str, Any] = {"help": _help(one), "rich_help_panel": setting.panel}
    if one.is_flag:
        words = f" /--no-{written.removeprefix('--')}" if one.default else written
        return Annotated[bool | None, typer.Option(words, show_default=False, **more)]
    return Annotated[kind | None, typer.Option(written, metavar=setting.metavar, **more)]


def _help(one: Described) -> str:
    """The setting's own words, the names that it takes, and what holds where it is not given."""
    setting, words = one.setting, one.setting.help.rstrip(".")
    if one.is_flag:
        return f"{words}."
    default = setting.otherwise or in_words(one.default)
    named = re.findall(r"[\w-]+", f"{words} {default}")
    unnamed = [name for name in setting.names if name not in named]
    others = f" Also {', '.join(unnamed)}." if unnamed else ""
    return f"{words}; default {default}.{others}"


def _parameter(name: str, kind: Any, default: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _with(shared: list[Parameter]) -> Callable[[Command], Command]:
    """Where typer looks for a command's options, the shared ones follow its own."""

    def decorate(function: Command) -> Command:
        every = signature(function, eval_str=True).parameters.values()
        own = [parameter for parameter in every if parameter.name != "given"]

        @wraps(function)
        def called(**values: Any) -> None:
            given = {parameter.name: values.pop(parameter.name) for parameter in shared}
            function(**values, given=given)

        parameters = [*own, *shared]
        vars(called)["__signature__"] = Signature(parameters)
        called.__annotations__ = {p.name: p.annotation for p in parameters}
        return called

    return decorate
