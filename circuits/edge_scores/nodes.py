"""Scores of nodes, as scores of the edges that leave them.

NAP (node attribution patching) is the change of a node's output times the gradient of the metric
there, in the clean run; NAP-IG averages the gradient over runs whose embeddings are 1/K, 2/K, ...
K/K of the way from the corrupted prompt's to the clean one's (Hanna et al. 2024, arXiv 2403.17806;
EAP-IG's code, `attribute_node.py`, whose points these are).
"""

from __future__ import annotations

import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from circuits.edge_scores.gradients import Point, mean_gradients, n_steps_of
from circuits.edge_scores.registry import EdgeScoreSettings
from circuits.edge_scores.scorer import FunctionScorer, PerPrompt
from circuits.masking import MaskedRuns
from circuits.patching import EdgeValues
from circuits.runtime.progress import Progress


def node_scores(scores: EdgeValues) -> Float[Tensor, "sender *prompt"]:
    """The sum of the scores of each node's edges, in their unit.

    The gradient at a node's output is the sum of those at the inputs of all that read it: of "eap"
    these are NAP.

    >>> from circuits.edge_scores import edge_scores
    >>> node_scores(edge_scores(model, pairs, "eap")).shape  # of embedding, heads and MLPs
    torch.Size([16, 4])
    """
    return scores.values.nansum(0)


def _spread(runs: MaskedRuns, found: PerPrompt) -> PerPrompt:
    """Every edge has the score of the node that it leaves, at its span."""
    graph, spread = runs.graph, torch.empty_like(found)
    span_of = torch.tensor([graph.span_of(receiver) for receiver in graph.receivers])
    for span in range(graph.n_spans):
        own = span_of == span
        spread[own] = reduce(found[own], "receiver sender prompt -> 1 sender prompt", "sum")
    return spread


def _nap(runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress) -> PerPrompt:
    return _spread(runs, mean_gradients(runs, [Point()], progress))


def _nap_ig(runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress) -> PerPrompt:
    n = n_steps_of(settings)
    points = [Point(step / n) for step in range(1, n + 1)]
    return _spread(runs, mean_gradients(runs, points, progress))


NAP = FunctionScorer(
    "nap", "an edge has the score of its sender: its change times the gradient there", _nap
)
NAP_IG = FunctionScorer(
    "nap-ig",
    "the same, by gradients on the way from corrupted inputs to clean ones",
    _nap_ig,
    ("n_steps",),
)
