"""Another circuit of those that a discovery tried."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from circuits.circuit import Circuit, circuit_of_edges
from circuits.discovery.overwriting import TENSOR_FILE
from circuits.edge_search import chosen_edges
from circuits.errors import FormatError, MismatchError
from circuits.evaluation import EdgePoint, SizePoint
from circuits.model import ModelIdentity
from circuits.patching import EdgeValues
from circuits.tasks import Spans


def circuit_at(point: SizePoint, found: Circuit, rankings: Mapping[str, EdgeValues]) -> Circuit:
    """The circuit of a point.

    Of another circuit of edges no effect is known in it: each is 0. Paths among heads keep theirs.
    """
    if not isinstance(point, EdgePoint):
        heads_alone = Circuit.of_heads(point.heads, found.n_layers, found.n_heads)
        return found.restricted_to(point.heads) | heads_alone
    ranking = rankings[point.ranking]
    circuit = circuit_of_edges(ranking.graph, chosen_edges(ranking, point.n_ranked))
    return found if circuit.connections == found.connections else circuit


def read_rankings(
    directory: str | Path,
    named: Mapping[str, Tensor],
    model: ModelIdentity,
    spans: Spans | None,
) -> dict[str, EdgeValues]:
    """The rankings of a saved run. Raises FormatError where they are not such a model's."""
    graph = model.graph("nodes", spans)
    try:
        return {name: EdgeValues(graph, values) for name, values in named.items()}
    except MismatchError as error:
        raise FormatError(
            f"the saved run in {directory} is damaged: its rankings in {TENSOR_FILE} are not those "
            f"of {model.name}: {error}"
        ) from error
