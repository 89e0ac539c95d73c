"""What MIB's circuit localization track takes of a task and model: a score for every edge.

It is a graph of EAP-IG; the track itself takes the best shares of its edges. `mib_names` says where
it goes.
"""

from __future__ import annotations

from dataclasses import replace

from circuits.circuit import Circuit, circuit_of_edges, edge_mask
from circuits.errors import InputError
from circuits.formats.eap_export import GraphConfig, to_eap_graph
from circuits.patching import EdgeValues


def importances(circuit: Circuit, ranking: EdgeValues, d_model: int) -> str:
    """Every edge's score, and which edges are in a circuit, as JSON.

    Args:
        circuit: One whose nodes are MLPs and the embedding, too.
        ranking: Of every edge, the best highest: `Discovery.rankings`, or scores' mean over
            prompts.
        d_model: Width of the model's residual stream.

    Raises:
        InputError: MLPs are no nodes of the circuit, edges have spans, or one has no score.

    >>> import json
    >>> from circuits.edge_search import chosen_edges
    >>> best = chosen_edges(scored, 30)
    >>> circuit = circuit_of_edges(scored.graph, best, torch.zeros(best.shape))
    >>> data = json.loads(importances(circuit, scored, d_model=32))
    >>> sum(edge["in_graph"] for edge in data["edges"].values()) == len(circuit.edges)
    True
    """
    graph = ranking.graph
    if circuit.spans is not None or graph.spans is not None:
        raise InputError(
            "MIB's circuit localization track knows edges at all positions alone: discover without "
            "spans (positions 'all')"
        )
    if circuit.mlps != "nodes" or not graph.has_mlps:
        raise InputError(
            "MIB's circuit localization track scores edges among MLPs and the embedding, too: "
            "discover with --mlps nodes (mlps='nodes')"
        )
    if (n_missing := graph.n_edges - ranking.n_known) > 0:
        raise InputError(
            f"{n_missing:,} of {graph.n_edges:,} edges have no score, and the track takes shares "
            "of all of them: take a ranking of every edge"
        )
    effects = replace(ranking, values=-ranking.values)
    ranked = circuit_of_edges(graph, edge_mask(circuit, graph), effects.values)
    return to_eap_graph(ranked, graph, effects, GraphConfig(d_model=d_model)).text
