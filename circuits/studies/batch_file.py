"""A batch as a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.named import checked_values, config_of
from circuits.errors import CircuitsError, FormatError, SettingError, cause, unknown_name
from circuits.model.catalogue import DEFAULT_MODEL
from circuits.runtime.executors import EXECUTORS
from circuits.runtime.reading import read_text
from circuits.studies.batch import Batch
from circuits.studies.seeds import seed_numbers

_KEYS = ("models", "tasks", "methods", "seeds", "dtype", "device", "settings")
_USUAL_METHOD = "in-context"


def read_batch(path: str | Path) -> Batch:
    r"""Read what a batch is to run.

    `tasks` is a list; so are `models` (without: the default one), `methods` (without: the default
    one) and `seeds`, which may be their number. A method is a name, or a table of settings, with
    `method` and, where two are of one method, a `name`. `[settings]` has settings of all methods,
    and `[slurm]`, `[ray]` what these executors are given.

    Raises:
        FormatError: It is no TOML, or a key or value is none of these; a model, a task or a
            setting is unknown or out of range. The message says which.
        OSError: It cannot be read.

    >>> lines = 'tasks = ["ioi"]', "seeds = 2", "[settings]", "n_prompts = 8"
    >>> _ = (directory / "batch.toml").write_text("\n".join(lines))
    >>> batch = read_batch(directory / "batch.toml")
    >>> batch.seeds, batch.methods["in-context"].n_prompts
    ((0, 1), 8)
    """
    try:
        given = tomllib.loads(read_text(Path(path)))
    except ValueError as error:
        raise FormatError(f"{path} is no TOML file: {cause(error)}") from error
    try:
        return _batch(given)
    except CircuitsError as error:
        raise FormatError(f"{path}: {error}") from error


def _batch(given: Mapping[str, Any]) -> Batch:
    known = (*_KEYS, *EXECUTORS.names())
    for key in given:
        if key not in known:
            raise FormatError(unknown_name("key", key, known))
    options = {name: _table(given, name) for name in EXECUTORS.names() if name in given}
    return Batch(
        models=_texts(given, "models", [DEFAULT_MODEL]),
        tasks=_texts(given, "tasks", []),
        methods=_methods(given),
        seeds=_seeds(given.get("seeds", 1)),
        dtype=_text(given, "dtype") or "float32",
        device=_text(given, "device"),
        options=options,
    )


def _methods(given: Mapping[str, Any]) -> dict[str, DiscoveryConfig]:
    entries, shared = given.get("methods", [_USUAL_METHOD]), _table(given, "settings")
    if not isinstance(entries, list):
        raise FormatError(f"methods must be a list, got {entries!r}")
    found: dict[str, DiscoveryConfig] = {}
    for entry in entries:
        own = {"method": entry} if isinstance(entry, str) else entry
        if not isinstance(own, dict) or not isinstance(own.get("method"), str):
            raise FormatError(
                f"a method is a name, or a table of settings with `method`; got {entry!r}"
            )
        name = own.get("name", own["method"])
        if not isinstance(name, str) or not name:
            raise FormatError(f"the name of a method must be text, got {name!r}")
        if name in found:
            raise FormatError(f"two methods are called {name!r}: give one of them another `name`")
        settings = shared | {key: value for key, value in own.items() if key != "name"}
        if "seed" in settings:
            raise FormatError("seed is no setting of a batch: write seeds = [0, 1] at the top")
        found[name] = _config(name, settings)
    return found


def _config(name: str, settings: Mapping[str, Any]) -> DiscoveryConfig:
    try:
        return config_of(checked_values(settings), _USUAL_METHOD)
    except SettingError as error:
        raise SettingError(f"method {name!r}: {error}") from error


def _seeds(given: Any) -> tuple[int, ...]:
    every = given if isinstance(given, list) else [given]
    if not all(isinstance(seed, int) and not isinstance(seed, bool) for seed in every):
        raise FormatError(f"seeds must be a whole number or a list of them, got {given!r}")
    return seed_numbers(given, 0)


def _texts(given: Mapping[str, Any], key: str, default: list[str]) -> tuple[str, ...]:
    entries = given.get(key, default)
    if not isinstance(entries, list) or not all(isinstance(one, str) for one in entries):
        raise FormatError(f'{key} must be a list of names, such as ["a", "b"], got {entries!r}')
    return tuple(entries)


def _text(given: Mapping[str, Any], key: str) -> str | None:
    value = given.get(key)
    if value is not None and not isinstance(value, str):
        raise FormatError(f"{key} must be text, got {value!r}")
    return value


def _table(given: Mapping[str, Any], key: str) -> dict[str, Any]:
    table = given.get(key, {})
    if not isinstance(table, dict):
        raise FormatError(f"{key} must be a table, [{key}], got {table!r}")
    return table
