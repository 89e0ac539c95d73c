"""Curves and their areas: against MIB's definition written out, and against runs by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from circuits.components import all_heads
from circuits.errors import SettingError
from circuits.evaluation import MIB_SHARES, Evaluator, HeadScores, faithfulness_curve
from circuits.evaluation.areas import areas, faithfulness
from circuits.evaluation.config import ABLATIONS, RANKINGS
from circuits.evaluation.ordering import order_heads
from circuits.statistics import Bootstrap
from tests.circuits.conftest import shared_model
from tests.circuits.families import N_HEADS, N_LAYERS
from tests.circuits.prompts import ragged_pairs

HEADS = frozenset(all_heads(N_LAYERS, N_HEADS))
QUICK = Bootstrap(n_resamples=50)


@pytest.fixture(scope="module")
def scores() -> HeadScores:
    values = torch.randn(N_LAYERS, N_HEADS, generator=torch.Generator().manual_seed(1))
    return HeadScores("invented", values)


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(shared_model("llama"), ragged_pairs(7), ragged_pairs(9))


def areas_by_hand(shares, points) -> tuple[float, float]:
    """Sums of trapezoids, as section 3.1 of the paper and the code of its repository take them."""
    under = distance = 0.0
    for i in range(len(shares) - 1):
        width = shares[i + 1] - shares[i]
        under += width * (points[i] + points[i + 1]) / 2
        distance += width * (abs(1 - points[i]) + abs(1 - points[i + 1])) / 2
    return under, distance


class TestAreas:
    def test_a_perfect_ranking(self) -> None:
        """MIB's shares begin at 0.001, so that the largest area is not 1."""
        cpr, cmd = areas(MIB_SHARES, np.ones((10, 1)))
        assert cpr == pytest.approx(0.999) and cmd == 0

    def test_nothing_until_all_heads_are_back(self) -> None:
        points = np.zeros((10, 1))
        points[-1] = 1
        cpr, cmd = areas(MIB_SHARES, points)
        assert cpr == pytest.approx(0.25) and cmd == pytest.approx(0.749)

    def test_more_than_the_model_counts_for_cpr_and_against_cmd(self) -> None:
        cpr, cmd = areas((0.0, 1.0), np.array([[3.0], [3.0]]))
        assert cpr == 3 and cmd == 2

    @given(st.lists(st.floats(-3, 3), min_size=10, max_size=10))
    def test_against_sums_by_hand(self, points) -> None:
        found = areas(MIB_SHARES, np.array(points)[:, None])[:, 0]
        assert found == pytest.approx(areas_by_hand(MIB_SHARES, points), abs=1e-9)


def test_faithfulness_is_0_without_heads_and_1_with_all() -> None:
    found = faithfulness(np.array([2.0, 8.0, 2.0, 8.0, 5.0, -1.0]))
    assert found.tolist() == [0, 1, 0.5, -0.5]
    assert np.isnan(faithfulness(np.array([2.0, 2.0, 3.0]))).all()


@pytest.mark.parametrize("ranking", RANKINGS)
@pytest.mark.parametrize("ablation", ABLATIONS)
def test_points_are_runs_of_the_best_heads(evaluator, scores, ranking, ablation) -> None:
    found = faithfulness_curve(evaluator, scores, ranking, ablation, bootstrap=QUICK)
    assert (found.ranking, found.score, found.ablation) == (ranking, "invented", ablation)
    assert tuple(point.share for point in found.points) == MIB_SHARES
    assert [point.n_heads for point in found.points] == [0, 0, 0, 0, 0, 0, 1, 2, 6, 12]
    none, everything = evaluator.metrics([frozenset(), HEADS], ablation).mean(1)
    best = order_heads(scores.values, ranking)
    for point in found.points:
        kept = evaluator.metrics([frozenset(best[: point.n_heads])], ablation)[0].mean()
        expected = (kept - none) / (everything - none)
        assert point.faithfulness.value == pytest.approx(float(expected), abs=1e-9)
    values = [point.faithfulness.value for point in found.points]
    assert (found.cpr.value, found.cmd.value) == pytest.approx(areas_by_hand(MIB_SHARES, values))


def test_the_ranking_matters(evaluator, scores) -> None:
    signed, absolute = (
        faithfulness_curve(evaluator, scores, ranking, bootstrap=QUICK) for ranking in RANKINGS
    )
    assert signed.cpr.value != pytest.approx(absolute.cpr.value)


def test_intervals_are_those_of_the_areas(evaluator, scores) -> None:
    """Resampled curves and their areas, one by one."""
    shares, random = (0.0, 0.3, 1.0), np.random.default_rng(0)
    found = faithfulness_curve(
        evaluator, scores, "signed", shares=shares, bootstrap=Bootstrap(0.9, 4000)
    )
    best = order_heads(scores.values, "signed")
    circuits = [frozenset(best[:size]) for size in (0, 3, 12)]
    metrics = evaluator.metrics(circuits, "resample").numpy()
    drawn = []
    for _ in range(4000):
        none, some, everything = metrics[:, random.integers(0, 7, 7)].mean(1)
        drawn.append(areas_by_hand(shares, [0, (some - none) / (everything - none), 1]))
    tail = stats.norm.cdf(stats.t.ppf(0.05, 6) * (7 / 6) ** 0.5)  # 7 prompts are few
    assert tail < 0.02
    for estimate, values in zip((found.cpr, found.cmd), np.array(drawn).T, strict=True):
        spread = estimate.high - estimate.low
        assert estimate.low == pytest.approx(np.quantile(values, tail), abs=0.1 * spread)
        assert estimate.high == pytest.approx(np.quantile(values, 1 - tail), abs=0.1 * spread)


@pytest.mark.parametrize("shares", [(0.5,), (0.5, 0.1), (0.1, 0.1), (-0.1, 1.0), (0.5, 1.1)])
def test_shares_that_make_no_curve(evaluator, scores, shares) -> None:
    with pytest.raises(SettingError, match="shares must rise, from at least 0 to at most 1; got"):
        faithfulness_curve(evaluator, scores, "signed", shares=shares)
