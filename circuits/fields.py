"""Heads and edges in the fields of records: by name in JSON, as objects in Python."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from circuits.components import Connection, Head


def _parse_heads(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return frozenset(Head.parse(item) if isinstance(item, str) else item for item in value)
    return value


def _parse_connections(value: Any) -> Any:
    return frozenset(map(Connection.parse, value)) if isinstance(value, list) else value


def _names(items: frozenset[Any]) -> list[str]:
    return [str(item) for item in sorted(items)]


HeadSet = Annotated[frozenset[Head], BeforeValidator(_parse_heads), PlainSerializer(_names)]
"""A set of heads; in JSON a sorted list of names."""
ConnectionSet = Annotated[
    frozenset[Connection], BeforeValidator(_parse_connections), PlainSerializer(_names)
]
"""A set of edges without effects; in JSON a sorted list of "sender -> receiver"."""
