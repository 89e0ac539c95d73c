"""In which order a summary names edges."""

from __future__ import annotations

from collections.abc import Iterable

from circuits.components import Edge


def strongest(edges: Iterable[Edge], most: int | None = None) -> list[Edge]:
    """Edges by the size of their effects, the largest first; at most so many."""
    return sorted(edges, key=lambda edge: (-abs(edge.effect), edge))[:most]
