"""Scores of edges by gradients in runs that are changed evenly: EAP, EAP-IG and their kin.

All are (clean - corrupted output of the sender) times the gradient of the metric at the receiver's
input, summed over tokens. They differ in the runs that the gradient is taken in:

- EAP: the clean one (Syed, Rager and Conmy 2023, arXiv 2310.10348, section 3).
- EAP-IG, with inputs interpolated: the mean over runs whose embeddings are 0/K, 1/K, ... (K-1)/K of
  the way from the corrupted prompt's to the clean one's (Hanna, Pezzelle and Belinkov 2024, arXiv
  2403.17806, section 3; the points are those of the authors' code, `get_scores_eap_ig`).
- Clean-corrupted: the mean of both ends (the authors' `get_scores_clean_corrupted`).
- EAP-IG, with activations interpolated: the mean over clean runs in which what the embedding, the
  heads of one layer, or one MLP give is 1/K, 2/K, ... K/K of the way from corrupted to clean, over
  all of these in turn (the authors' `get_scores_ig_activations`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from circuits.components import MLP, Embedding, Head, Node
from circuits.edge_scores.registry import EdgeScoreSettings
from circuits.edge_scores.scorer import FunctionScorer, PerPrompt
from circuits.masking import MaskedRuns
from circuits.masking.on_prompts import Along
from circuits.runtime.progress import SILENT, Progress

_USUAL_STEPS = 5


@dataclass(frozen=True, eq=False)
class Point:
    """A run in which all that read a sender get the same share of it.

    Attributes:
        embedded: How far the embedding is on its way from the corrupted prompt to the clean one.
        senders: The weight of each sender; 1 without.
        constant: Senders whose outputs are put in, so that no gradient passes them.

    """

    embedded: float = 1.0
    senders: Float[Tensor, " sender"] | None = None
    constant: tuple[Node, ...] = ()


def mean_gradients(
    runs: MaskedRuns,
    points: Sequence[Point],
    progress: Progress = SILENT,
    along: Along = "clean",
) -> PerPrompt:
    """Mean slope of each prompt's metric by every edge, over some runs."""
    total = torch.zeros(*runs.every_edge.shape, len(runs.activations.pairs))
    for point, part in progress.each(points):
        weights = runs.every_edge
        if point.senders is not None:
            weights = weights * rearrange(point.senders, "sender -> 1 sender")
        run = runs.slopes(weights, point.embedded, along, part, point.constant)
        total += run.gradients
    return total / len(points)


def n_steps_of(settings: EdgeScoreSettings) -> int:
    """How many points are averaged."""
    return settings.n_steps or _USUAL_STEPS


def _eap(runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress) -> PerPrompt:
    return mean_gradients(runs, [Point()], progress)


def _eap_ig(runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress) -> PerPrompt:
    n = n_steps_of(settings)
    return mean_gradients(runs, [Point(step / n) for step in range(n)], progress)


def _clean_corrupted(
    runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress
) -> PerPrompt:
    return mean_gradients(runs, [Point(1.0), Point(0.0)], progress)


def _eap_ig_activations(
    runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress
) -> PerPrompt:
    n, n_senders = n_steps_of(settings), len(runs.graph.senders)
    points = []
    for site in _sites(runs):
        for step in range(1, n + 1):
            senders = torch.ones(n_senders)
            senders[[runs.graph.column(node) for node in site]] = step / n
            points.append(Point(senders=senders, constant=site))
    return mean_gradients(runs, points, progress)


def _sites(runs: MaskedRuns) -> Iterator[tuple[Node, ...]]:
    """Senders that are interpolated together."""
    yield (Embedding(),)
    for index, layer in enumerate(runs.activations.model.layers):
        yield tuple(Head(index, head) for head in range(layer.n_heads))
        if layer.mlp is not None:
            yield (MLP(index),)


EAP = FunctionScorer("eap", "each edge's change times the gradient of the clean run (EAP)", _eap)
EAP_IG = FunctionScorer(
    "eap-ig",
    "the same, by gradients on the way from corrupted inputs to clean ones (EAP-IG-inputs)",
    _eap_ig,
    ("n_steps",),
)
CLEAN_CORRUPTED = FunctionScorer(
    "clean-corrupted",
    "the same, by the mean of the gradients of the clean and of the corrupted run",
    _clean_corrupted,
)
EAP_IG_ACTIVATIONS = FunctionScorer(
    "eap-ig-activations",
    "the same, with the outputs of one layer at a time on that way; slow (EAP-IG-activations)",
    _eap_ig_activations,
    ("n_steps",),
)
