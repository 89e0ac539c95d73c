"""What corrupting each edge alone does, everything behind it computed again."""

from __future__ import annotations

import torch

from circuits.edge_scores.registry import EdgeScoreSettings
from circuits.edge_scores.scorer import FunctionScorer, PerPrompt, wanted_edges
from circuits.errors import SettingError
from circuits.masking import MaskedRuns
from circuits.runtime.progress import Progress

_TOGETHER = 16
"""Edges into one receiver share what lies below it, which is that of the clean run."""


def _exact(runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress) -> PerPrompt:
    wanted = wanted_edges(runs, settings.edges)
    n = int(wanted.sum())
    if n > settings.most_passes:
        raise SettingError(
            f"exact scores of {n:,} edges take {n:,} forward passes, more than most_passes "
            f"({settings.most_passes:,}): choose some of them (edges), allow more (most_passes), "
            "or estimate them (eap-ig)"
        )
    every = runs.every_edge
    whole = runs.metrics(every[None])
    found = torch.full((*every.shape, whole.shape[-1]), torch.nan)
    parts = [
        (row, columns)
        for row, own in enumerate(wanted)
        for columns in own.nonzero()[:, 0].split(_TOGETHER)
        if len(columns)
    ]
    for (row, columns), _ in progress.each(parts, [len(columns) for _, columns in parts]):
        without = every.repeat(len(columns), 1, 1)
        without[torch.arange(len(columns)), row, columns] = 0
        found[row, columns] = whole - runs.metrics(without, like=every)
    return found


EXACT = FunctionScorer(
    "exact",
    "what corrupting each edge alone does, everything behind it computed again; slow",
    _exact,
    ("edges", "most_passes"),
)
