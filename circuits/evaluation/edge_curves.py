"""MIB's areas CPR and CMD of scores of edges, and the smallest circuit that keeps enough.

Mueller et al. 2025, "MIB: A Mechanistic Interpretability Benchmark" (arXiv 2504.13151), section
3.1. Of n edges the best int(share * n) are kept, edges that lead nowhere are removed from these,
and all others corrupted. CPR is the area under faithfulness with edges ranked by signed scores, CMD
the area between it and 1 with edges ranked by absolute ones. Nearly all of both areas comes from
the largest circuits, so that there are also areas over the logarithm of the share.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from circuits.circuit import without_dead_ends
from circuits.errors import FormatError, MismatchError, SettingError
from circuits.evaluation.areas import MIB_SHARES, areas, check_shares, faithfulness, log_areas
from circuits.evaluation.config import RANKINGS, Ranking
from circuits.evaluation.edge_evaluator import EdgeEvaluator
from circuits.evaluation.edge_ranking import first_edges, rank_edges
from circuits.fields import first_problem
from circuits.patching import EdgeValues
from circuits.runtime.files import write_atomically
from circuits.runtime.progress import SILENT, Progress
from circuits.runtime.reading import read_file
from circuits.statistics.intervals import Bootstrap, Estimate

_TRIED_TOGETHER = 7
_LEAST_SHARE = 1e-9
"""Above 0, which has no logarithm."""


@dataclass(frozen=True)
class EdgeCurvePoint:
    """Faithfulness when only the best edges are kept.

    Attributes:
        share: Share of all edges that were taken (0 to 1).
        n_ranked: That many edges, rounded down.
        n_edges: Of these, edges that do not lead nowhere.
        n_nodes: Nodes at their ends; the logits are none.
        faithfulness: 0 with every edge corrupted, 1 with none.

    >>> point = EdgeCurvePoint(0.01, 324, 301, 88, Estimate(1.2, 1.1, 1.3))
    >>> point.overshoots
    True
    """

    share: float
    n_ranked: int
    n_edges: int
    n_nodes: int
    faithfulness: Estimate

    @property
    def overshoots(self) -> bool:
        """Whether it does better than the whole model: edges that harm were left out."""
        return self.faithfulness.value > 1


@dataclass(frozen=True)
class EdgeCurve:
    """Faithfulness against size, for edges in one order.

    Attributes:
        ranking: By "signed" or by "absolute" scores.
        points: By rising share.
        cpr: Area under the curve.
        cmd: Area between the curve and 1.
        log_cpr: Area under the curve over the logarithm of the share, whose width counts as 1.
        log_cmd: Area between the curve and 1, likewise.
        smallest: The smallest circuit of this order that keeps enough; None where none does.

    >>> curves = edge_curves(EdgeEvaluator(model, pairs), scored, "invented")
    >>> [point.n_ranked for point in curves.signed.points] == [
    ...     int(share * curves.n_edges) for share in MIB_SHARES
    ... ]
    True
    """

    ranking: Ranking
    points: tuple[EdgeCurvePoint, ...]
    cpr: Estimate
    cmd: Estimate
    log_cpr: Estimate
    log_cmd: Estimate
    smallest: EdgeCurvePoint | None

    @property
    def highest(self) -> EdgeCurvePoint:
        """The point of the highest faithfulness."""
        return max(self.points, key=lambda point: point.faithfulness.value)


@dataclass(frozen=True)
class EdgeCurves:
    """How well scores of edges find circuits: MIB's figures, on prompts of one's choice.

    Attributes:
        score: Name of the scores.
        n_edges: Edges of the graph.
        n_prompts: How many prompts.
        confidence: Coverage of the intervals over prompts.
        keep: Faithfulness that the smallest circuits were to have; None: none was looked for.
        signed: With edges ranked by signed scores.
        absolute: With edges ranked by absolute scores.

    >>> curves = edge_curves(EdgeEvaluator(model, pairs), scored, "invented")
    >>> curves.cpr == curves.signed.cpr, curves.cmd == curves.absolute.cmd
    (True, True)
    >>> EdgeCurves.load(curves.save(directory / "edge_curves.json")) == curves
    True
    """

    score: str
    n_edges: int
    n_prompts: int
    confidence: float
    keep: float | int | None
    signed: EdgeCurve
    absolute: EdgeCurve

    @property
    def cpr(self) -> Estimate:
        """MIB's CPR, by signed scores: the higher, the better; .999 where nothing is lost."""
        return self.signed.cpr

    @property
    def cmd(self) -> Estimate:
        """MIB's CMD, by absolute scores: 0 is best."""
        return self.absolute.cmd

    def to_dict(self) -> dict[str, Any]:
        """As plain lists and numbers, fit for JSON; NaN where something is undefined."""
        return asdict(self)

    def save(self, path: str | Path) -> Path:
        """Write a JSON file, in place of an earlier one."""
        path = Path(path)
        write_atomically({path: json.dumps(self.to_dict(), indent=1).encode()})
        return path

    @classmethod
    def load(cls, path: str | Path) -> EdgeCurves:
        """Read what `save` wrote.

        Raises:
            FormatError: The file is damaged.
            OSError: There is none.

        """
        try:
            return _ADAPTER.validate_python(json.loads(read_file(Path(path))))
        except ValidationError as error:
            raise FormatError(f"{path} is damaged: {first_problem(error)}") from error
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{path} is damaged: {error}") from error


def edge_curves(
    evaluator: EdgeEvaluator,
    scores: EdgeValues,
    name: str,
    keep: float | int | None = 0.85,
    shares: Sequence[float] = MIB_SHARES,
    bootstrap: Bootstrap | None = None,
    progress: Progress = SILENT,
) -> EdgeCurves:
    """Take MIB's figures of scores of edges, and the smallest circuits that keep enough.

    The smallest circuit is looked for below the first share that keeps enough, down to one edge
    less being too few; where faithfulness falls and rises again, a smaller one may be missed.

    Args:
        evaluator: The model on some prompts, which the scores had better not be of.
        scores: Of edges: the higher, the more an edge helps; NaN counts as 0.
        name: What the scores are called where they are printed.
        keep: Faithfulness to keep; None: no smallest circuit is looked for.
        shares: Shares of all edges to keep (above 0 to 1), rising.
        bootstrap: How intervals are taken.
        progress: Hears of the fraction done.

    Raises:
        SettingError: The shares do not rise from above 0 to at most 1, or `keep` is not above 0.
        MismatchError: The scores are of another model's graph.
        InputError: As `rank_edges`.

    >>> curves = edge_curves(EdgeEvaluator(model, pairs), scored, "invented", keep=0.5)
    >>> smallest = curves.signed.smallest
    >>> smallest.faithfulness.value >= 0.5, smallest.n_edges <= smallest.n_ranked
    (True, True)
    """
    check_shares(shares, least=_LEAST_SHARE)
    _check(evaluator, scores, keep)
    bootstrap = bootstrap or Bootstrap()
    signed, absolute = (
        _Taking(evaluator, scores, ranking, bootstrap).curve(shares, keep, part)
        for ranking, part in zip(RANKINGS, progress.parts(0.5, 0.5), strict=True)
    )
    of = scores.graph.n_edges, len(evaluator.pairs), bootstrap.confidence
    return EdgeCurves(name, *of, keep, signed, absolute)


def _check(evaluator: EdgeEvaluator, scores: EdgeValues, keep: float | int | None) -> None:
    if keep is not None and not keep > 0:
        raise SettingError(f"keep must be a faithfulness above 0, 1 that of the model; got {keep}")
    # Where MLPs are nodes, no key or value is shared, whatever a file of scores says of that.
    mine, own = (
        (graph.n_layers, graph.n_heads, graph.parallel_mlp, graph.mlps, graph.spans)
        for graph in (scores.graph, evaluator.graph)
    )
    if mine != own:
        raise MismatchError(
            f"the scores are of {scores.graph.shape}, the prompts were run on "
            f"{evaluator.graph.shape}: scores must be of the same model, with MLPs as nodes"
        )


def smallest_that_keeps(
    measure: Callable[[list[int]], Sequence[float]], known: dict[int, float], keep: float | int
) -> int | None:
    """The smallest size that keeps so much, below the first that is known to.

    Sizes between the last that does not and the first that does are tried, a few at a time, until
    these two are neighbours.
    """
    known = {0: 0.0, **known}
    while any(found >= keep for found in known.values()):
        high = min(size for size, found in known.items() if found >= keep)
        low = max((size for size in known if size < high), default=high)
        if high - low < 2:
            return high
        between = np.geomspace(max(low, 1), high, _TRIED_TOGETHER + 2)[1:-1].astype(int)
        sizes = sorted({min(max(int(size), low + 1), high - 1) for size in between})
        known |= dict(zip(sizes, measure(sizes), strict=True))
    return None


class _Taking:
    """One curve under way."""

    def __init__(
        self, evaluator: EdgeEvaluator, scores: EdgeValues, ranking: Ranking, bootstrap: Bootstrap
    ) -> None:
        self.evaluator, self.scores, self.bootstrap = evaluator, scores, bootstrap
        self.ranking: Ranking = ranking
        self.order = rank_edges(scores, ranking)

    def curve(
        self, shares: Sequence[float], keep: float | int | None, progress: Progress
    ) -> EdgeCurve:
        """Points, areas and the smallest circuit."""
        sizes = [int(share * len(self.order)) for share in shares]
        runs = self._runs(sizes, progress.within(0, 0.5))

        def figures(
            means: Float[np.ndarray, "run *resample"],
        ) -> Float[np.ndarray, "figure *resample"]:
            points = faithfulness(means)
            return np.concatenate([points, areas(shares, points), log_areas(shares, points)])

        found = self.bootstrap.estimates(figures, runs)
        points = [self._point(*row) for row in zip(shares, sizes, found[:-4], strict=True)]
        known = {point.n_ranked: point.faithfulness.value for point in points}
        size = None if keep is None else smallest_that_keeps(self._values, known, keep)
        smallest = None
        if size is not None:
            (kept,) = self.bootstrap.estimates(faithfulness, self._runs([size]))
            smallest = self._point(size / len(self.order), size, kept)
        progress(1.0)
        cpr, cmd, log_cpr, log_cmd = found[-4:]
        return EdgeCurve(self.ranking, tuple(points), cpr, cmd, log_cpr, log_cmd, smallest)

    def _sets(self, sizes: Sequence[int]) -> Bool[Tensor, "circuit receiver sender"]:
        return torch.stack([first_edges(self.order, self.scores, size) for size in sizes])

    def _runs(
        self, sizes: Sequence[int], progress: Progress = SILENT
    ) -> Float[np.ndarray, "run prompt"]:
        return self.evaluator.with_baselines(self._sets(sizes), progress).numpy()

    def _values(self, sizes: list[int]) -> list[float]:
        return faithfulness(self._runs(sizes).mean(-1)).tolist()

    def _point(self, share: float, size: int, kept: Estimate) -> EdgeCurvePoint:
        edges = without_dead_ends(self.scores.graph, self._sets([size])[0])
        return EdgeCurvePoint(share, size, int(edges.sum()), int(edges.any(0).sum()), kept)


_ADAPTER = TypeAdapter(EdgeCurves)
