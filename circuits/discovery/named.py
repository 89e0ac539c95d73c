"""Settings by the flat names that options and files have, put together to a config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from circuits.discovery.config import DiscoveryConfig
from circuits.errors import SettingError, unknown_name
from circuits.pruning.rule import PruningRule
from circuits.runtime.settings import checked_names, described
from circuits.search.rules import SelectionRule

_CONFIGS = (DiscoveryConfig, SelectionRule, PruningRule)
_IN_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def setting_names() -> tuple[str, ...]:
    """Every setting of a discovery that is one value, by its flat name."""
    every = (one for config in _CONFIGS for one in described(config))
    return tuple(one.name for one in every if one.kind in _IN_WORDS)


def checked_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same, whole numbers as floats where a setting is one.

    Raises SettingError for what is no setting, or a value of another type than it has.
    """
    every = {one.name: one for config in _CONFIGS for one in described(config)}
    found = dict(given)
    for name, value in given.items():
        if name not in setting_names():
            raise SettingError(unknown_name("setting", name, setting_names()))
        kind, parse = every[name].kind, every[name].setting.parse
        if parse is not None and isinstance(value, str):
            continue
        allowed = (int, float) if kind is float else kind
        if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
            raise SettingError(f"{name} must be {_IN_WORDS[kind]}, got {value!r}")
        found[name] = kind(value)
    return found


def read_settings(given: Mapping[str, Any], usual_method: str = "in-context") -> DiscoveryConfig:
    """A config of the settings that were given; without `keep` (None) the method is app.

    Raises:
        SettingError: A setting is unknown or out of range, or the method has no use for it.

    >>> read_settings({"keep": None}).method
    'app'
    """
    checked_names(DiscoveryConfig, given)
    without = given.get("keep", ...) is None and given.get("mlps") != "nodes"
    return DiscoveryConfig(**{"method": "app" if without else usual_method, **given})


def config_of(given: Mapping[str, Any], usual_method: str = "in-context") -> DiscoveryConfig:
    """The config of flat settings; text is read as behind an option. Raises SettingError."""
    named = dict(given)
    named["selection"] = SelectionRule(**_fields_of(SelectionRule, named))
    if pruning := _fields_of(PruningRule, named):
        by_share = "score_share" in named and "cliff" not in named
        named["pruning"] = PruningRule(**({"cliff": "share"} if by_share else {}), **pruning)
    return read_settings(_fields_of(DiscoveryConfig, named), usual_method)


def _fields_of(config: type, given: Mapping[str, Any]) -> dict[str, Any]:
    names = (field.name for field in fields(config) if field.name in given)
    return {name: _read(config, name, given[name]) for name in names}


def _read(config: type, name: str, value: Any) -> Any:
    for one in described(config):
        if one.name == name and one.setting.parse is not None and isinstance(value, str):
            return one.setting.parse(value)
    return value
