"""Fields of records: heads and edges by name in JSON, as objects in Python; what is wrong."""

from __future__ import annotations

from math import isfinite, nan
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, ValidationError

from circuits.components import Connection, Head, Node, parse_node
from circuits.errors import InputError, quoted


def first_problem(error: ValidationError) -> str:
    """The first field that is wrong, and how."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def parse_effect(value: Any) -> float:
    """Read an edge's effect from a file.

    Raises:
        InputError: It is no finite number.

    >>> parse_effect("-0.25")
    -0.25
    """
    try:
        effect = float(value)
    except (TypeError, ValueError, OverflowError):
        effect = nan
    if not isfinite(effect):
        raise InputError(f"its effect must be a number, got {quoted(value)}")
    return effect


def _parse_heads(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return frozenset(map(Head.parse, value))
    return value


def _parse_connections(value: Any) -> Any:
    return frozenset(map(Connection.parse, value)) if isinstance(value, list) else value


def _names(items: frozenset[Any]) -> list[str]:
    return [str(item) for item in sorted(items)]


HeadName = Annotated[
    Head,
    BeforeValidator(lambda value: Head.parse(value) if isinstance(value, str) else value),
    PlainSerializer(str),
]
"""A head; in JSON its name."""
NodeName = Annotated[
    Node,
    BeforeValidator(lambda value: parse_node(value) if isinstance(value, str) else value),
    PlainSerializer(str),
]
"""A head, an MLP or the embedding; in JSON its name."""
EdgeName = Annotated[
    Connection,
    BeforeValidator(lambda value: Connection.parse(value) if isinstance(value, str) else value),
    PlainSerializer(str),
]
"""An edge without its effect; in JSON "sender -> receiver"."""
HeadSet = Annotated[frozenset[Head], BeforeValidator(_parse_heads), PlainSerializer(_names)]
"""A set of heads; in JSON a sorted list of names."""
ConnectionSet = Annotated[
    frozenset[Connection], BeforeValidator(_parse_connections), PlainSerializer(_names)
]
"""A set of edges without effects; in JSON a sorted list of "sender -> receiver"."""
