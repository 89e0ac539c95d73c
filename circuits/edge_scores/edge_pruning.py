"""Edge pruning: a random gate for each edge, learned under a sparsity that rises to a target.

Bhaskar et al. 2024, "Finding Transformer Circuits with Edge Pruning" (arXiv 2406.16778, section 3).
What is done:

1. A gate is drawn from the hard concrete distribution (Louizos et al. 2018, arXiv 1712.01312):
   sigmoid((log u - log(1 - u) + log alpha) / beta), u even in (0, 1), is stretched to (l, r) and
   cut off below 0 and above 1; beta = 2/3, l = -0.1, r = 1.1. The gate is the weight of its edge.
   log alpha begins near 2, where nearly all gates are open.
2. What is made small is the distance from the model, and l1 (t - s) + l2 (t - s)^2: s is the
   expected share of gates that are 0, t a target that rises evenly from 0 to `sparsity` over the
   first five sixths of the steps. l1 and l2 begin at 0 and climb the same sum.
3. Adam for both, with a rate of 0.1; on some prompts in turn, four a step.

Distribution, penalty and the rise of its target are those of the authors' code
(`src/modeling/l0.py`, `run_scripts/ioi_sweep.sh`). What differs: the distance is the mean square of
the metric's difference from the clean prompt's, in units of what corrupting every edge does, in the
place of the divergence of the distributions of next tokens; nodes have no gates of their own; and
there log alpha begins at 10, with rates of 0.8, for 3,000 steps. A score is log alpha, which has no
unit.
"""

from __future__ import annotations

import math

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from circuits.edge_scores.learned import USES, Lessons, n_learned
from circuits.edge_scores.registry import EdgeScoreSettings
from circuits.edge_scores.scorer import FunctionScorer, PerPrompt
from circuits.masking import MaskedRuns
from circuits.masking.soft_top import OfEdges, SlopesOfWeights
from circuits.patching.edge_values import checked_scale
from circuits.runtime.progress import SILENT, Progress

_BETA = 2 / 3
_LOW, _HIGH = -0.1, 1.1
_OPEN, _SPREAD = 2.0, 0.01
_SMALLEST = 1e-6
_RATE = 0.1
_RISING = 5 / 6
_USUAL_SPARSITY = 0.98


def _edge_pruning(runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress) -> PerPrompt:
    lessons, scale = Lessons(runs), _scale(runs)
    target = _USUAL_SPARSITY if settings.sparsity is None else settings.sparsity

    def slopes_at(gates: OfEdges, step: int) -> OfEdges:
        """How fast the mean square of what the metric is off grows with each gate."""
        run = lessons.slopes(gates, step)
        off = (run.metric - lessons.clean_metric(step)) / scale
        slopes = einsum(2 * off / scale, run.gradients, "prompt, r sender prompt -> r sender")
        return lessons.of_edges(slopes / len(off))

    log_alpha = prune(
        lessons.n_edges, slopes_at, n_learned(settings), target, settings.seed, progress
    )
    return lessons.scores(log_alpha)


def prune(
    n_edges: int,
    slopes_at: SlopesOfWeights,
    n_steps: int,
    sparsity: float,
    seed: int = 0,
    progress: Progress = SILENT,
) -> OfEdges:
    """The log alpha of each edge's gate, from slopes of a distance by the gates. Knows no model."""
    draw = torch.Generator().manual_seed(seed)
    log_alpha = (_OPEN + _SPREAD * torch.randn(n_edges, generator=draw)).requires_grad_()
    multipliers = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam(
        [{"params": [log_alpha]}, {"params": [multipliers], "maximize": True}], lr=_RATE
    )
    for step in range(n_steps):
        target = sparsity * min(1, step / (_RISING * n_steps))
        with torch.enable_grad():
            gates = drawn_gates(log_alpha, torch.rand(n_edges, generator=draw))
            missing = target - expected_sparsity(log_alpha)
            penalty = multipliers[0] * missing + multipliers[1] * missing**2
        optimizer.zero_grad()
        slopes = slopes_at(gates.detach(), step)
        torch.autograd.backward([gates, penalty], [slopes, torch.ones_like(penalty)])
        optimizer.step()
        progress((step + 1) / n_steps)
    return log_alpha.detach()


def drawn_gates(log_alpha: OfEdges, even: OfEdges) -> OfEdges:
    """Hard concrete gates, 0 to 1, from numbers that are drawn evenly from 0 to 1."""
    open_by = torch.logit(even, eps=_SMALLEST) + log_alpha
    stretched = torch.sigmoid(open_by / _BETA) * (_HIGH - _LOW) + _LOW
    return stretched.clamp(0, 1)


def expected_sparsity(log_alpha: OfEdges) -> Float[Tensor, ""]:
    """The share of gates that are 0, in expectation."""
    return torch.sigmoid(_BETA * math.log(-_LOW / _HIGH) - log_alpha).mean()


def _scale(runs: MaskedRuns) -> float:
    """What corrupting every edge does to a prompt's metric, in the mean over prompts."""
    ends = runs.activations.clean_metric, runs.activations.corrupted_metric
    return checked_scale(float((ends[0] - ends[1]).abs().mean()))


EDGE_PRUNING = FunctionScorer(
    "edge-pruning",
    "learned: a random gate for each edge, under a sparsity that rises to a target; slow",
    _edge_pruning,
    (*USES, "sparsity"),
)
