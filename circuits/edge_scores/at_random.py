"""Random scores: what any score has to be better than."""

from __future__ import annotations

import torch

from circuits.edge_scores.registry import EdgeScoreSettings
from circuits.edge_scores.scorer import FunctionScorer, PerPrompt
from circuits.masking import MaskedRuns
from circuits.runtime.progress import Progress


def _random(runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress) -> PerPrompt:
    draw = torch.Generator().manual_seed(settings.seed)
    shape = *runs.every_edge.shape, len(runs.activations.pairs)
    return torch.randn(shape, generator=draw)


RANDOM = FunctionScorer("random", "normal numbers, drawn anew for each prompt", _random, ("seed",))
