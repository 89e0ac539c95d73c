"""What the pages of the documentation get when they are built.

README, CONTRIBUTING and CHANGELOG become pages, links to and from them kept; notebooks are copied,
for README links to them, too. Tables are read off the code, where a page has a line such as

    <!-- registry: engines -->
    <!-- settings: DiscoveryConfig -->
    <!-- registries -->
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from importlib import import_module
from inspect import getdoc
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
NAMES = ("README", "CONTRIBUTING", "CHANGELOG")
REGISTRIES = (
    ("circuits.tasks.registry", "TASKS"),
    ("circuits.metrics", "METRICS"),
    ("circuits.scores", "SCORERS"),
    ("circuits.edge_scores", "EDGE_SCORERS"),
    ("circuits.patching", "ESTIMATORS"),
    ("circuits.patching", "DIRECT_ESTIMATORS"),
    ("circuits.search", "SEARCHES"),
    ("circuits.discovery", "METHODS"),
    ("circuits.formats", "FORMATS"),
    ("circuits.runtime.executors", "EXECUTORS"),
)
MARKER = re.compile(r"^<!-- (registry|registries|settings)(?:: ([\w-]+))? -->$", re.MULTILINE)
Rows = Iterable[Iterable[str]]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of the repository's root, and the notebooks."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{path.name}", abs_src_path=str(path)))
    for name in NAMES:
        text = re.sub(r"(?<=\]\()docs/", "", (ROOT / f"{name}.md").read_text(encoding="utf-8"))
        files.append(File.generated(config, f"{name.lower()}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Write the tables, and point links to the root's files at their pages."""
    names = "|".join(NAMES)
    return re.sub(
        rf"\]\((?:\.\./)?((?:\.\./)*)({names})\.md",
        lambda match: f"]({match[1]}{match[2].lower()}.md",
        with_tables(markdown),
    )


def with_tables(markdown: str) -> str:
    """The page with each marker replaced by its table. Raises PluginError for an unknown one."""
    return MARKER.sub(lambda found: _table_of(found[1], found[2] or ""), markdown)


def registries() -> dict[str, Any]:
    """Every registry by what its entries are called: `engines`, `scores`, ..."""
    found = (getattr(import_module(module), name) for module, name in REGISTRIES)
    return {registry.group.rpartition(".")[2]: registry for registry in found}


def configs() -> dict[str, type]:
    """Every class of settings by name."""
    from circuits import DiscoveryConfig, EvaluationConfig, PruningRule, SelectionRule
    from circuits.roles import RoleRule
    from circuits.statistics import InclusionRule

    discovery = DiscoveryConfig, SelectionRule, PruningRule
    every = (*discovery, EvaluationConfig, InclusionRule, RoleRule)
    return {config.__name__: config for config in every}


def _table_of(kind: str, name: str) -> str:
    if kind == "registries":
        return _table(("what", "registry", "names", "entry points"), _overview())
    known: dict[str, Any] = registries() if kind == "registry" else configs()
    if name not in known:
        raise PluginError(f"there is no {kind} {name!r}; there are {', '.join(known)}")
    if kind == "settings":
        header = ("setting", "option", "default", "what it takes", "what it does")
        return _table(header, _settings(known[name]))
    return _table(("name", "what it is"), _entries(name, known[name]))


def _overview() -> Iterator[Iterable[str]]:
    for (module, name), (kind, registry) in zip(REGISTRIES, registries().items(), strict=True):
        known = ", ".join(f"`{entry}`" for entry in registry.names())
        yield kind, f"`{name}` of `{module}`", known, f"`{registry.group}`"


def _entries(kind: str, registry: Any) -> Iterator[Iterable[str]]:
    """Each name with its description; the one that is the default of the settings says so."""
    from circuits.discovery.methods import method_names, method_of

    default = _defaults().get(kind)
    names = method_names() if kind == "methods" else registry.names()
    for name in names:
        entry = method_of(name) if kind == "methods" else registry.get(name)
        shown = f"`{name}` (default)" if name == default else f"`{name}`"
        yield shown, _text(_description(entry))


def _defaults() -> dict[str, str]:
    from circuits import DiscoveryConfig
    from circuits.runtime.workers import Workers

    config = DiscoveryConfig()
    return {
        "metrics": config.metric,
        "scores": config.prune_by,
        "engines": config.engine,
        "engines_of_direct_edges": config.engine,
        "searches": config.search,
        "methods": config.method,
        "executors": Workers().executor,
    }


def _description(entry: Any) -> str:
    """What an entry says it is; of a function, the first line of its docstring."""
    words = getattr(entry, "description", None) or (getdoc(entry) or "").partition("\n")[0]
    return words.rstrip(".")


def _settings(config: type) -> Iterator[Iterable[str]]:
    from circuits.runtime.settings import described

    for one in described(config):
        option = _option(one)
        takes = ", ".join(f"`{name}`" for name in one.setting.names) or one.setting.range
        # What is on by default has the help of the option that turns it off.
        words = f"`{option}`: {one.setting.help}" if _is_on(one) else one.setting.help
        yield f"`{one.name}`", option and f"`{option}`", _default(one), takes, _text(words)


def _default(one: Any) -> str:
    from circuits.runtime.settings import in_words

    if is_dataclass(one.default):
        return f"`{type(one.default).__name__}()`"
    words, otherwise = in_words(one.default, one.setting), one.setting.otherwise
    return words if otherwise in ("", words) else f"{words}; of the option: {otherwise}"


def _option(one: Any) -> str:
    """How it is written on the command line; empty where it is not."""
    from circuits.cli.setting_options import flag_of

    if one.setting.option == "" or one.kind not in (bool, int, float, str):
        return ""
    written = one.setting.option or flag_of(one.name)
    if _is_on(one):
        return written.replace("--", "--no-", 1)
    return written if one.is_flag or not one.setting.metavar else f"{written} {one.setting.metavar}"


def _is_on(one: Any) -> bool:
    return one.is_flag and one.default


def _text(words: str) -> str:
    return html.escape(words, quote=False)


def _table(header: Iterable[str], rows: Rows) -> str:
    header = list(header)
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
