"""Reading a circuit's parts from plain lists and numbers, with the place of what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar, get_args

from circuits.components import Edge, Head, Receiver, parse_node
from circuits.errors import FormatError, quoted
from circuits.fields import parse_effect
from circuits.graph import Mlps
from circuits.tasks import Spans

Read = TypeVar("Read")
Parts = tuple[frozenset[Head], frozenset[Edge], int, int, Mlps, Spans | None]
"""Heads, edges, layers, heads in each, what MLPs are, and the spans of edges."""


def parts_of_json(text: str) -> Parts:
    """The parts in a text. Raises FormatError where something is missing or malformed."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"a circuit must be JSON, but {error}") from error
    return parts_of(data)


def parts_of(data: Any) -> Parts:
    """The parts in what a text held. Raises FormatError as `parts_of_json` does."""
    needed = {"n_layers", "n_heads", "heads"}
    if not isinstance(data, dict) or not needed <= data.keys():
        got = sorted(data) if isinstance(data, dict) else type(data).__name__
        raise FormatError(f"a circuit needs {sorted(needed)} (and edges), got {got}")
    heads = [
        _entry(f"heads[{place}]", Head.parse, head)
        for place, head in enumerate(_list(data["heads"], "heads"))
    ]
    edges = [
        _entry(f"edges[{place}]", _edge, edge)
        for place, edge in enumerate(_list(data.get("edges", []), "edges"))
    ]
    n_layers, n_heads = (_entry(name, _whole, data[name]) for name in ("n_layers", "n_heads"))
    mlps = _entry("mlps", parse_mlps, data.get("mlps", "path"))
    spans = None if data.get("spans") is None else _entry("spans", Spans.from_list, data["spans"])
    return frozenset(heads), frozenset(edges), n_layers, n_heads, mlps, spans


def parse_mlps(value: Any) -> Mlps:
    """Read what MLPs are. Raises FormatError for what is neither "path" nor "nodes"."""
    for known in get_args(Mlps):
        if value == known:
            return known
    raise FormatError(f"mlps must be one of {get_args(Mlps)}, got {quoted(value)}")


def _edge(entry: Any) -> Edge:
    sender, receiver = parse_node(entry["sender"]), Receiver.parse(entry["receiver"])
    return Edge(sender, receiver, parse_effect(entry["effect"]))


def _whole(value: Any) -> int:
    # In Python true is a number, and 12.9 can be made one.
    if isinstance(value, bool) or not isinstance(value, int):
        raise FormatError(f"it must be a whole number, got {quoted(value)}")
    return value


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise FormatError(f"{name} of a circuit must be a list, got {quoted(value)}")
    return value


def _entry(where: str, read: Callable[[Any], Read], value: Any) -> Read:
    """What `read` makes of a value, with its place in the circuit in the error."""
    try:
        return read(value)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        missing = isinstance(error, KeyError)
        reason = f"it has no {error}" if missing else f"{error} (got {value!r})"
        reason = str(error) if isinstance(error, ValueError) else reason
        raise FormatError(f"{where} of a circuit is malformed: {reason}") from error
