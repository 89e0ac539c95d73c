"""First order behind exact receivers.

An edge's score is what its receiver's output loses when this one sender gives what it gives on the
corrupted prompt, and everything else what it gives on the clean one, times the gradient of the
metric at that output. So norms, softmax and MLP of the receiver are computed, and only what lies
behind it is differentiated. Of a query, key or value the head's output is computed anew; of an edge
into the logits nothing is left out, and its score is exact.

Gradients are averaged over the path of EAP-IG (`circuits.edge_scores.gradients`), the embedding
0/K, 1/K, ... (K-1)/K of the way from the corrupted prompt's to the clean one's; a single step
(K = 1) is the clean run, not the corrupted one.
"""

from __future__ import annotations

import torch

from circuits.edge_scores.gradients import n_steps_of
from circuits.edge_scores.registry import EdgeScoreSettings
from circuits.edge_scores.scorer import FunctionScorer, PerPrompt
from circuits.masking import MaskedRuns, NodeOutputs, WeightedEdges
from circuits.patching.exact_receivers import ExactReceivers
from circuits.patching.plan import rows_together
from circuits.runtime.progress import Progress

_SENDERS_OF_STEP = 8
"""A pass back takes about as long as so many senders in every layer above them."""


def _swept(runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress) -> PerPrompt:
    n = n_steps_of(settings)
    path = [step / n for step in range(n)] if n > 1 else [1.0]
    max_rows = most_rows(runs)

    def run(outputs: NodeOutputs, part: Progress) -> PerPrompt:
        steps, layers = part.parts(_SENDERS_OF_STEP * n, len(runs.graph.senders))
        slopes = torch.zeros_like(outputs.change)
        for embedded, step in steps.each(path):
            edges = WeightedEdges(outputs, runs.every_edge, embedded)
            slopes += edges.backward(outputs.change).by_output / n
            step(1.0)
        clean = WeightedEdges(outputs, runs.every_edge).upward
        with torch.no_grad():
            return ExactReceivers(clean, max_rows).of_all(slopes, layers).cpu()

    return runs.of_all(run, progress)


def most_rows(runs: MaskedRuns) -> int:
    """How many rows of (sender, token) pass a layer at once, in a half of the memory."""
    activations = runs.activations
    return rows_together(activations.model, activations.pairs, runs.memory_bytes // 2)[0]


SWEPT = FunctionScorer(
    "swept",
    "what each receiver gives less without the edge, exactly, times an averaged gradient there",
    _swept,
    ("n_steps",),
)
