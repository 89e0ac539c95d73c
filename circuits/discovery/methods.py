"""What a discovery does, by name: which scores prune, and whether paths are patched behind that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from circuits.edge_scores.registry import EDGE_SCORERS
from circuits.errors import SettingError, unknown_name
from circuits.graph import Mlps
from circuits.runtime.registry import Registry
from circuits.scores.registry import SCORERS


@dataclass(frozen=True)
class Method:
    """What `--method` names: which scores prune, and whether paths are patched after that.

    Attributes:
        name: What `--method` calls it.
        description: What it does, in a few words.
        scorers: The scores that heads are pruned by, merged; none: nothing is pruned; None: those
            of `prune_by`.
        patches: Whether paths among the heads that are left are patched and searched. Otherwise
            these heads are the circuit.
        chooses: Whether heads are chosen on validation prompts, as the smallest set that keeps so
            much (`keep`), rather than pruned.
        search: The search that goes with it; None: that of the settings.

    >>> METHODS.get("merged-flap").scorers
    ('flap', 'contrastive-flap')
    >>> [name for name in METHODS.names() if METHODS.get(name).patches]
    ['in-context', 'app', 'path-patching']
    """

    name: str
    description: str
    scorers: tuple[str, ...] | None
    patches: bool
    chooses: bool = False
    search: str | None = None


IN_CONTEXT = Method(
    "in-context",
    "choose heads for the company they keep, then patch the paths among them",
    (),
    True,
    chooses=True,
    search="connect",
)
APP = Method("app", "prune, then patch paths (arXiv 2511.05442)", None, True)
PATH_PATCHING = Method("path-patching", "patch the paths among all heads", (), True)
MERGED_FLAP = Method(
    "merged-flap",
    "prune by FLAP and Contrastive-FLAP, merged: APP's published recipe",
    ("flap", "contrastive-flap"),
    False,
)
ACDC = Method(
    "acdc",
    "edges removed where the output hardly changes (ACDC, arXiv 2304.14997)",
    None,
    patches=False,
    chooses=True,
)
"""A method where MLPs and the embedding are nodes."""


def _flaw(entry: Any) -> str | None:
    return None if isinstance(entry, Method) else "it must be a Method"


METHODS: Registry[Method] = Registry(
    "method",
    {
        "in-context": "circuits.discovery.methods:IN_CONTEXT",
        "app": "circuits.discovery.methods:APP",
        "path-patching": "circuits.discovery.methods:PATH_PATCHING",
        "merged-flap": "circuits.discovery.methods:MERGED_FLAP",
    },
    _flaw,
)
"""Recipes that are more than one score; every score is a method, too, which prunes alone."""


def method_names() -> tuple[str, ...]:
    """Every method: the recipes, and pruning by each score alone."""
    return tuple(dict.fromkeys((*METHODS.names(), *SCORERS.names())))


def pruning_names() -> tuple[str, ...]:
    """The methods that prune alone: what another can prune by."""
    return tuple(name for name in method_names() if not method_of(name).patches)


_OF_BOTH_GRAPHS = (APP.name, PATH_PATCHING.name)
"""Methods whose paths are direct edges where MLPs and the embedding are nodes."""


def edge_method_names() -> tuple[str, ...]:
    """The methods that find edges where MLPs and the embedding are nodes."""
    return (IN_CONTEXT.name, ACDC.name, *EDGE_SCORERS.names(), *_OF_BOTH_GRAPHS)


def edge_method_of(name: str) -> Method:
    """The method of a name where MLPs and the embedding are nodes. Raises SettingError."""
    if name not in edge_method_names():
        raise SettingError(
            f"{unknown_name('method', name, edge_method_names())}; these are the methods with "
            "mlps 'nodes'"
        )
    if name in _OF_BOTH_GRAPHS:
        return METHODS.get(name)
    if name == ACDC.name:
        return ACDC
    if name == IN_CONTEXT.name:
        description = "choose edges for the company they keep, or by EAP-IG where that does better"
    else:
        description = f"the best edges by {name}: {EDGE_SCORERS.get(name).description}"
    return Method(name, description, (), patches=False, chooses=True)


def any_method_names() -> tuple[str, ...]:
    """Every method, whether MLPs belong to the paths or are nodes."""
    return tuple(dict.fromkeys((*method_names(), *edge_method_names())))


def method_of(name: str) -> Method:
    """The method of a name. Raises SettingError."""
    if name in METHODS:
        return METHODS.get(name)
    if name not in SCORERS:
        if name in edge_method_names():
            raise SettingError(
                f"method {name!r} chooses edges among MLPs and heads: it needs mlps 'nodes' "
                "(--mlps nodes)"
            )
        raise SettingError(unknown_name("method", name, method_names()))
    return Method(name, f"prune by {name} alone", (name,), False)


def recipe_of(name: str, mlps: Mlps) -> Method:
    """What a method does on a graph. Raises SettingError for one that is none there.

    >>> recipe_of("eap-ig", "nodes").chooses
    True
    """
    return (edge_method_of if mlps == "nodes" else method_of)(name)
