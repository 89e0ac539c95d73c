"""MIB's areas of scores of edges: against its formulas, written out, and runs by hooks."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from circuits.errors import FormatError, InputError, MismatchError, SettingError
from circuits.evaluation import (
    MIB_SHARES,
    EdgeCurve,
    EdgeCurves,
    EdgeEvaluator,
    best_edges,
    edge_curves,
    rank_edges,
)
from circuits.evaluation.areas import log_areas
from circuits.evaluation.edge_curves import smallest_that_keeps
from circuits.forward import LayeredModel
from circuits.graph import ModelGraph
from circuits.metrics import logit_diff, prob_diff
from circuits.patching import EdgeValues
from circuits.statistics import Bootstrap
from tests.circuits.circuit.test_dead_ends import one_node_at_a_time
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES
from tests.circuits.masking.slow_twin import weighted_metric_by_hand
from tests.circuits.prompts import ragged_pairs

QUICK = Bootstrap(n_resamples=50)


def scores_of(family: str, seed: int = 0) -> EdgeValues:
    """Random ones, of every edge."""
    graph = LayeredModel.of(shared_model(family)).graph("nodes")
    scores = EdgeValues.unknown(graph)
    draw = torch.Generator().manual_seed(seed)
    for receiver in graph.receivers:
        scores.into(receiver).normal_(generator=draw)
    return scores


def mib_by_hand(run, graph: ModelGraph, scores: EdgeValues, absolute: bool, log_scale: bool):
    """`evaluate_area_under_curve` of MIB, at the level of edges, and `apply_topn` of EAP-IG.

    But for its pruning, which stops a round early there.
    """
    values = {(graph.row(e.receiver), graph.column(e.sender)): 0.0 for e in graph.edges}
    values = {place: float(scores.values[place]) for place in values}
    by_score = sorted(values, key=lambda place: abs(values[place]) if absolute else values[place])
    by_score.reverse()
    baseline, corrupted = run(set(values)), run(set())
    faithfulnesses = []
    for pct in MIB_SHARES:
        in_graph = by_score[: int(pct * len(values))]
        faithfulnesses.append((run(in_graph) - corrupted) / (baseline - corrupted))
    area_under = area_from_1 = 0.0
    for i in range(len(faithfulnesses) - 1):
        x_1, x_2 = MIB_SHARES[i], MIB_SHARES[i + 1]
        if log_scale:
            x_1, x_2 = math.log(x_1), math.log(x_2)
        one, two = faithfulnesses[i], faithfulnesses[i + 1]
        area_from_1 += (x_2 - x_1) * ((abs(1.0 - one) + abs(1.0 - two)) / 2)
        area_under += (x_2 - x_1) * ((one + two) / 2)
    return area_under, area_from_1, faithfulnesses


def check_equals_mib(curve: EdgeCurve, metric_of, scores: EdgeValues) -> None:
    """`metric_of` gives the metrics of a set of edges that has no dead ends."""
    known: dict[bytes, float] = {}

    def run(places) -> float:
        edges = torch.zeros(scores.values.shape, dtype=torch.bool)
        for place in places:
            edges[place] = True
        edges = one_node_at_a_time(scores.graph, edges)
        key = edges.numpy().tobytes()
        if key not in known:
            known[key] = float(metric_of(edges).double().mean())
        return known[key]

    absolute = curve.ranking == "absolute"
    cpr, cmd, points = mib_by_hand(run, scores.graph, scores, absolute, log_scale=False)
    assert curve.cpr.value == pytest.approx(cpr, abs=1e-4)
    assert curve.cmd.value == pytest.approx(cmd, abs=1e-4)
    own = [point.faithfulness.value for point in curve.points]
    assert own == pytest.approx(points, abs=1e-3)
    width = math.log(MIB_SHARES[-1] / MIB_SHARES[0])
    logs = mib_by_hand(run, scores.graph, scores, absolute, log_scale=True)
    assert curve.log_cpr.value * width == pytest.approx(logs[0], abs=2e-3)
    assert curve.log_cmd.value * width == pytest.approx(logs[1], abs=2e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_mib(family: str) -> None:
    """Runs themselves are held to hooks in `test_edge_evaluator`, for every family, too."""
    evaluator, scores = EdgeEvaluator(shared_model(family), ragged_pairs(3)), scores_of(family)
    found = edge_curves(evaluator, scores, "invented", bootstrap=QUICK)
    for curve in (found.signed, found.absolute):
        check_equals_mib(curve, lambda edges: evaluator.metrics(edges[None]), scores)


@pytest.mark.parametrize(("family", "ranking"), [("gpt-neox", "signed"), ("gemma3", "absolute")])
def test_equals_mib_on_runs_by_hooks(family: str, ranking: str) -> None:
    bridge, pairs, scores = shared_model(family), ragged_pairs(2), scores_of(family)

    def by_hooks(edges):
        return weighted_metric_by_hand(bridge, pairs, scores.graph, edges.float(), logit_diff)

    found = edge_curves(EdgeEvaluator(bridge, pairs), scores, "invented", bootstrap=QUICK)
    check_equals_mib(getattr(found, ranking), by_hooks, scores)


@pytest.fixture(scope="module")
def evaluator() -> EdgeEvaluator:
    return EdgeEvaluator(shared_model("llama"), ragged_pairs(7), prob_diff)


@pytest.fixture(scope="module")
def scores() -> EdgeValues:
    return scores_of("llama")


@pytest.fixture(scope="module")
def curves(evaluator, scores) -> EdgeCurves:
    return edge_curves(evaluator, scores, "invented", keep=0.5, bootstrap=QUICK)


def test_each_area_has_its_ranking(curves) -> None:
    assert (curves.cpr, curves.cmd) == (curves.signed.cpr, curves.absolute.cmd)
    assert curves.signed.cpr != curves.absolute.cpr
    assert (curves.signed.ranking, curves.absolute.ranking) == ("signed", "absolute")
    assert curves.n_prompts == 7


def test_points_are_runs_of_the_best_edges(curves, evaluator, scores) -> None:
    for curve in (curves.signed, curves.absolute):
        assert curve.points[-1].faithfulness.value == 1
        for point in curve.points:
            edges = best_edges(scores, curve.ranking, point.n_ranked)
            left = one_node_at_a_time(scores.graph, edges)
            assert point.n_edges == int(left.sum())
            (kept,) = evaluator.faithfulness(left[None], QUICK)
            assert point.faithfulness.value == pytest.approx(kept.value, abs=1e-5)
            ends = {
                node
                for row, column in left.nonzero().tolist()
                for node in (scores.graph.senders[column], scores.graph.receivers[row].node)
            }
            assert point.n_nodes == len(ends - {None})


def test_the_smallest_circuit_keeps_enough_and_one_edge_less_does_not(
    curves, evaluator, scores
) -> None:
    for curve in (curves.signed, curves.absolute):
        smallest = curve.smallest
        assert smallest is not None
        sets = [best_edges(scores, curve.ranking, smallest.n_ranked - less) for less in (0, 1)]
        kept, less = evaluator.faithfulness(torch.stack(sets), QUICK)
        assert smallest.faithfulness == kept
        assert less.value < 0.5 <= kept.value
        assert smallest.share == smallest.n_ranked / curves.n_edges
        assert curve.highest.overshoots == (curve.highest.faithfulness.value > 1)


def test_intervals_of_the_areas_hold_them(curves) -> None:
    for curve in (curves.signed, curves.absolute):
        for area in (curve.cpr, curve.cmd, curve.log_cpr, curve.log_cmd):
            assert area.low < area.value < area.high


def test_a_perfect_curve_over_logarithms_is_1_and_0() -> None:
    assert log_areas(MIB_SHARES, np.ones((10, 1)))[:, 0].tolist() == pytest.approx([1, 0])
    assert log_areas((0.01, 0.1, 1.0), np.array([[0.0], [0.0], [1.0]]))[0, 0] == pytest.approx(0.25)


class TestSmallest:
    @pytest.mark.parametrize("true", [1, 2, 3, 9, 100, 4567])
    def test_where_more_is_always_better(self, true: int) -> None:
        tried = []

        def measure(sizes):
            tried.extend(sizes)
            return [float(size >= true) for size in sizes]

        assert smallest_that_keeps(measure, {10: float(true <= 10), 5000: 1.0}, 0.85) == true
        assert len(tried) == len(set(tried)) <= 40

    def test_where_nothing_keeps_enough(self) -> None:
        assert smallest_that_keeps(lambda sizes: [], {10: 0.3, 20: math.nan}, 0.85) is None

    def test_below_the_first_that_does(self) -> None:
        """Faithfulness that falls again above does not matter."""
        kept = {5: 0.9, 100: 0.2, 1000: 1.0}
        assert smallest_that_keeps(lambda n: [0.9 * (s > 3) for s in n], kept, 0.85) == 4


class TestRanking:
    def test_by_hand(self) -> None:
        graph = ModelGraph(1, 1, 1, mlps="nodes")
        scores = EdgeValues.unknown(graph)
        edges = list(graph.edges)
        values = [0.1, -0.9, 0.5, math.nan, 0.5, -0.2, 0.3, 0.0]
        for edge, value in zip(edges, values, strict=True):
            scores.put(edge.receiver, [edge.sender], [value])
        places = {
            graph.row(edge.receiver) * 3 + graph.column(edge.sender): number
            for number, edge in enumerate(edges)
        }
        signed = [places[place] for place in rank_edges(scores, "signed").tolist()]
        assert signed == [2, 4, 6, 0, 3, 7, 5, 1]
        absolute = [places[place] for place in rank_edges(scores, "absolute").tolist()]
        assert absolute == [1, 2, 4, 6, 5, 0, 3, 7]
        assert int(best_edges(scores, "signed", 3).sum()) == 3

    def test_what_cannot_be_ranked(self, scores) -> None:
        with pytest.raises(InputError, match=r'these scores are of one with mlps="path": score'):
            rank_edges(EdgeValues.unknown(ModelGraph(1, 1, 1)), "signed")
        with pytest.raises(InputError, match="average over prompts first"):
            rank_edges(EdgeValues.unknown(scores.graph, 3), "signed")
        with pytest.raises(SettingError, match="n must be from 0 to the graph's"):
            best_edges(scores, "signed", scores.graph.n_edges + 1)


def test_settings_that_make_no_curve(evaluator, scores) -> None:
    with pytest.raises(SettingError, match="shares must rise, from at least 1e-09"):
        edge_curves(evaluator, scores, "invented", shares=(0.0, 0.5))
    with pytest.raises(SettingError, match=r"keep must be a faithfulness above 0, .*; got 0"):
        edge_curves(evaluator, scores, "invented", keep=0)
    other = EdgeValues.unknown(replace(scores.graph, n_layers=2))
    with pytest.raises(MismatchError, match="scores must be of the same model"):
        edge_curves(evaluator, other, "invented")


def test_saved_and_loaded(curves, tmp_path) -> None:
    path = curves.save(tmp_path / "curves.json")
    assert EdgeCurves.load(path) == curves
    data = json.loads(path.read_text())
    assert data["signed"]["points"][3]["n_ranked"] == curves.signed.points[3].n_ranked
    del data["signed"]["cpr"]
    path.write_text(json.dumps(data))
    with pytest.raises(FormatError, match=r"curves\.json is damaged: signed\.cpr: Field required"):
        EdgeCurves.load(path)
    path.write_text("{")
    with pytest.raises(FormatError, match="is damaged"):
        EdgeCurves.load(path)
