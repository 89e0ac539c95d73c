"""A circuit of edges turned round, and without each of its nodes: what is left, and what it costs.

Where MLPs and the embedding are nodes nothing is replaced by means: edges are corrupted.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.circuit import Circuit, edge_mask, every_edge
from circuits.components import Node
from circuits.evaluation.areas import faithfulness
from circuits.evaluation.edge_evaluator import EdgeEvaluator
from circuits.graph import ModelGraph
from circuits.runtime.progress import SILENT, Progress
from circuits.statistics.intervals import Bootstrap, Estimate

_TOGETHER = 32
"""A matrix of all edges for each node at once would not fit."""
EdgeSet = Bool[Tensor, "receiver sender"]
Means = Float[np.ndarray, "run *resample"]


def without_nodes(
    circuit: Circuit, on: EdgeEvaluator, bootstrap: Bootstrap, progress: Progress = SILENT
) -> tuple[Estimate, dict[Node, Estimate]]:
    """Completeness and minimality of a circuit whose nodes are MLPs and the embedding, too.

    Returns:
        Percent that is left with the circuit's own edges corrupted and all others kept; and for
        each node the points that the circuit loses with all edges of that node corrupted as well.

    """
    graph, nodes = on.graph, sorted(circuit.nodes)
    edges = edge_mask(circuit, graph)
    sets = [edges, every_edge(graph) & ~edges, *(_without(edges, node, graph) for node in nodes)]
    starts = range(0, len(sets), _TOGETHER)
    parts = [torch.stack(sets[start : start + _TOGETHER]) for start in starts]
    kept = [on.metrics(some, part) for some, part in progress.each(parts)]
    runs = torch.cat([on.baselines, *kept]).numpy()

    def figures(means: Means) -> Float[np.ndarray, "figure *resample"]:
        percent = 100 * faithfulness(means)
        return np.concatenate([percent[1:2], percent[:1] - percent[2:]])

    completeness, *costs = bootstrap.estimates(figures, runs)
    return completeness, dict(zip(nodes, costs, strict=True))


def _without(edges: EdgeSet, node: Node, graph: ModelGraph) -> EdgeSet:
    left = edges.clone()
    left[:, graph.column(node)] = False
    left[[graph.row(receiver) for receiver in graph.inputs(node)]] = False
    return left
