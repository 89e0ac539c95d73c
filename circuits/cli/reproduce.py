"""From a saved run to the command that makes it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from circuits.pruning.rule import PruningRule
from circuits.report import SavedRun
from circuits.runtime.settings import described
from circuits.studies.record import SearchRecord
from circuits.summary.settings import python_code

_CONTINUED = " \\\n    "


def command(run: SavedRun) -> str:
    """The command line with every setting; Python where a setting has no option."""
    config, default = run.found.config, PruningRule()
    rule = config.pruning or default
    # Some settings can be changed in Python alone.
    without_option = (one.name for one in described(PruningRule) if one.setting.option == "")
    if run.search is None and any(
        getattr(rule, name) != getattr(default, name) for name in without_option
    ):
        return python_code(run.found)
    name, search = _search(run.search)
    source = run.found.provenance
    asked: dict[str, Any] = {}
    for part in (config, config.selection, config.pruning):
        if part is not None:
            asked |= {field.name: getattr(part, field.name) for field in fields(part)}
    # A search may call something of its own as a setting is called.
    asked |= {"model": source.model.name, "dtype": source.model.dtype, **search}
    options = [*_options(name, asked), ("--out", run.name)]
    return _CONTINUED.join(map(shlex.join, [("circuits", name, source.task), *options]))


def _search(record: SearchRecord | None) -> tuple[str, dict[str, Any]]:
    """The command that searches, and what it varies."""
    if record is None:
        return "discover", {}
    if record.n_trials is not None:
        # A study that was refused tried nothing, and would again.
        return "study", {"trials": record.n_trials or None, "keep": record.keep}
    rules = [point.rule for point in record.points]
    varied = {
        "thresholds": sorted({rule.threshold for rule in rules}),
        "min_effects": sorted({rule.min_effect for rule in rules}),
    }
    return "grid", {name: ",".join(map(str, values)) for name, values in varied.items()} | {
        "keep": record.keep
    }


def _options(name: str, asked: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The command's own options, as far as something is asked for by their names."""
    from circuits.cli.main import COMMANDS

    for option in COMMANDS[name].params:
        value = asked.get(option.name)
        if value is None:
            continue
        if option.is_flag:
            if words := option.opts if value else option.secondary_opts:
                yield (words[0],)
        else:
            yield option.opts[0], str(value)
