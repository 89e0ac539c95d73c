"""MAttr: one score for each edge, by which circuits of every size do well.

Matryoshka attribution (arXiv 2609.25518). What is done:

1. Every score begins at 0.
2. A step draws a size k evenly from 1 to the number of edges less one. The weight of an edge is
   sigmoid((score - t) / T), with T = 1 and t such that the weights add up to k.
3. On some prompts in turn, four a step, edges are run with these weights, what is missing of a
   sender coming from the corrupted prompt, and scores take a step along the slope of the mean
   metric: Adam with a rate of 0.05.

Sizes, mixing with corrupted outputs, optimizer and rate are those that the authors give with their
circuits for MIB (huggingface.co/aryaman/mattr-mib-circuits), where edges take 5,000 steps, and the
cross-entropy of the answer is what is improved; here it is the metric. Temperature, beginning and
prompts a step are ours. No other score is used. Learned scores have no unit.
"""

from __future__ import annotations

import numpy as np
import torch
from einops import reduce

from circuits.edge_scores.learned import USES, Lessons, n_learned
from circuits.edge_scores.registry import EdgeScoreSettings
from circuits.edge_scores.scorer import FunctionScorer, PerPrompt
from circuits.masking import MaskedRuns
from circuits.masking.soft_top import OfEdges, SlopesOfWeights, climb
from circuits.runtime.progress import SILENT, Progress

_RATE = 0.05
_TEMPERATURE = 1.0


def _mattr(runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress) -> PerPrompt:
    lessons = Lessons(runs)

    def slopes_at(weights: OfEdges, step: int) -> OfEdges:
        by_prompt = lessons.slopes(weights, step).gradients
        mean = reduce(by_prompt, "receiver sender prompt -> receiver sender", "mean")
        return lessons.of_edges(mean)

    n_steps = n_learned(settings)
    return lessons.scores(rank(lessons.n_edges, slopes_at, n_steps, settings.seed, progress))


def rank(
    n_edges: int,
    slopes_at: SlopesOfWeights,
    n_steps: int,
    seed: int = 0,
    progress: Progress = SILENT,
) -> OfEdges:
    """The score of each edge, from slopes of what is wanted by the weights. Knows no model."""
    sizes = np.random.default_rng(seed).integers(1, n_edges, size=n_steps).tolist()
    scores = torch.zeros(n_edges)
    optimizer = torch.optim.Adam([scores], lr=_RATE, maximize=True)
    climb(scores, optimizer, sizes, slopes_at, _TEMPERATURE, progress)
    return scores


MATTR = FunctionScorer(
    "mattr", "learned, so that the best edges of any number do well; slow (MAttr)", _mattr, USES
)
