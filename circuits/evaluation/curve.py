"""Faithfulness against the size of the circuit, and the areas CPR and CMD of MIB.

Mueller et al. 2025, "MIB: A Mechanistic Interpretability Benchmark" (arXiv 2504.13151), section
3.1, and `evaluate_area_under_curve` in MIB_circuit_track/evaluation.py of its repository. The best
share k of all components are kept and the others ablated; faithfulness is

    f(k) = (m(k) - m(none)) / (m(all) - m(none))

with means of the metric m over prompts. CPR is the area under f, CMD the area between f and 1, both
by trapezoids over the ten shares of `MIB_SHARES`: a perfect CPR is 0.999. In MIB, CPR comes with a
signed ranking and asks for components that help; CMD with an absolute one, and asks for all that
matter. Here components are attention heads; MLPs stay in the model, also in m(none).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from circuits.components import Head
from circuits.evaluation.areas import MIB_SHARES, areas, check_shares, faithfulness
from circuits.evaluation.config import Ablation, Ranking
from circuits.evaluation.evaluator import Evaluator
from circuits.evaluation.ordering import HeadScores, order_heads
from circuits.runtime.progress import SILENT, Progress
from circuits.statistics.intervals import Bootstrap, Estimate


@dataclass(frozen=True)
class CurvePoint:
    """Faithfulness when only the best heads are kept.

    Attributes:
        share: Share of all heads that are kept (0 to 1).
        n_heads: That many heads, rounded down.
        faithfulness: 0 without heads, 1 for the whole model.

    >>> point = evaluation.curves["signed"].points[-2]
    >>> point.share, point.n_heads
    (0.5, 6)
    """

    share: float
    n_heads: int
    faithfulness: Estimate


@dataclass(frozen=True)
class Curve:
    """Faithfulness against circuit size.

    Attributes:
        ranking: "signed" or "absolute".
        score: Name of the scores that heads are ranked by.
        ablation: How heads that are left out are replaced.
        points: By rising share.
        cpr: Area under the curve (MIB): the higher, the better.
        cmd: Area between the curve and 1 (MIB): 0 is best.

    >>> curve = evaluation.curves["signed"]
    >>> curve.score, curve.ablation, curve.points[-1].faithfulness.value
    ('path-effects', 'resample', 1.0)
    """

    ranking: Ranking
    score: str
    ablation: Ablation
    points: tuple[CurvePoint, ...]
    cpr: Estimate
    cmd: Estimate


def faithfulness_curve(
    evaluator: Evaluator,
    scores: HeadScores,
    ranking: Ranking,
    ablation: Ablation = "resample",
    shares: Sequence[float] = MIB_SHARES,
    bootstrap: Bootstrap | None = None,
    progress: Progress = SILENT,
) -> Curve:
    """Measure faithfulness while ever more of the best heads are kept.

    Args:
        evaluator: The model on some prompts.
        scores: What heads are ranked by.
        ranking: By "signed" scores, or by "absolute" ones.
        ablation: How the other heads are replaced.
        shares: Shares of all heads to keep (0 to 1), rising.
        bootstrap: How intervals are taken.
        progress: Hears of the fraction done.

    Raises:
        SettingError: The shares do not rise from at least 0 to at most 1.

    >>> ranked = HeadScores("attribution", scores)
    >>> curve = faithfulness_curve(evaluator, ranked, "signed", shares=(0.0, 0.25, 0.5))
    >>> [point.n_heads for point in curve.points], curve.points[0].faithfulness.value
    ([0, 3, 6], 0.0)
    """
    check_shares(shares)
    best = order_heads(scores.values, ranking)
    sizes = [int(share * len(best)) for share in shares]
    circuits = [frozenset[Head](), evaluator.everything, *(frozenset(best[:n]) for n in sizes)]
    metrics = evaluator.metrics(circuits, ablation, progress).numpy()

    def figures(
        means: Float[np.ndarray, "run *resample"],
    ) -> Float[np.ndarray, "figure *resample"]:
        points = faithfulness(means)
        return np.concatenate([points, areas(shares, points)])

    *points, cpr, cmd = (bootstrap or Bootstrap()).estimates(figures, metrics)
    rows = zip(shares, sizes, points, strict=True)
    return Curve(ranking, scores.name, ablation, tuple(CurvePoint(*row) for row in rows), cpr, cmd)
