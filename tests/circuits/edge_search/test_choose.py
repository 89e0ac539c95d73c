"""The smallest circuit that keeps enough on other prompts, of several rankings."""

from __future__ import annotations

import pytest
import torch

from circuits.circuit import every_edge
from circuits.edge_search import EdgeChooser, chosen_edges, lost_without
from circuits.edge_search.descent import places
from circuits.evaluation import EdgeEvaluator
from circuits.patching import EdgeValues
from circuits.statistics.intervals import Bootstrap
from tests.circuits.edge_search.landscape import CHAIN, GRAPH, edges

SIDE = edges(("m0", "embed"), ("logits", "m0"))
"""Another way, which adds nothing where the chain is whole."""


class Made(EdgeEvaluator):
    """Prompts on which the chain does nine tenths, and every other edge a little."""

    def __init__(self, n: int = 16, share: float = 0.9) -> None:
        self.pairs, self.share, self.runs_so_far = range(n), share, 0  # type: ignore[assignment]

    @property
    def graph(self):
        return GRAPH

    @property
    def baselines(self):
        wave = torch.linspace(0.9, 1.1, len(self.pairs)).double()
        return torch.stack([0 * wave, wave])

    def metrics(self, edges, progress=None, like=None):
        self.runs_so_far += len(edges)
        whole = edges[:, CHAIN].all(1).double()
        others = edges[:, every_edge(GRAPH) & ~CHAIN].double().mean(1)
        kept = self.share * whole + (1 - self.share) * others
        return kept[:, None] * self.baselines[1]


def ranking(*best: torch.Tensor) -> EdgeValues:
    keys = [sum((len(best) - n) * one.float() for n, one in enumerate(best))]
    return EdgeValues(GRAPH, places([keys[0], torch.zeros(CHAIN.shape)], GRAPH))


def chooser(keep: float = 85.0) -> EdgeChooser:
    return EdgeChooser(keep, Made(), Made())


class TestTheChoice:
    def test_the_smallest_of_all_rankings(self) -> None:
        choice = chooser()
        choice.along("late", ranking(SIDE, CHAIN))
        assert len(choice.curve.point) == 5
        choice.along("early", ranking(CHAIN, SIDE))
        assert choice.curve.point.ranking == "early"
        assert choice.chosen.equal(CHAIN)

    def test_a_ranking_that_does_no_better_costs_one_run(self) -> None:
        choice = chooser()
        choice.along("early", ranking(CHAIN, SIDE))
        n_tried = len(choice.curve.points)
        choice.along("late", ranking(SIDE, CHAIN))
        assert len(choice.curve.points) == n_tried + 1
        assert choice.curve.point.ranking == "early"

    def test_what_the_chosen_one_does_without_is_left_out(self) -> None:
        choice = chooser()
        choice.along("late", ranking(SIDE, CHAIN))
        choice.thin()
        assert choice.chosen.equal(CHAIN)
        assert choice.curve.point.ranking == "thinned"

    def test_where_no_circuit_keeps_enough_nothing_is_said_to(self) -> None:
        choice = EdgeChooser(120.0, Made(), Made())
        choice.along("early", ranking(CHAIN, SIDE))
        choice.thin()
        assert not choice.curve.reaches
        assert len(choice.curve.point) == GRAPH.n_edges

    def test_prompts_of_the_search_count_half(self) -> None:
        choice = EdgeChooser(50.0, Made(share=0.3), Made(share=0.9))
        choice.along("early", ranking(CHAIN, SIDE))
        point = next(point for point in choice.curve.points if len(point) == 3)
        assert point.judged.value == pytest.approx(
            (0.5 * point.search.value + point.validation.value) / 1.5
        )


def test_what_each_edge_is_worth() -> None:
    lost = lost_without(Made(), CHAIN | SIDE)
    by_edge = torch.zeros(CHAIN.shape)
    by_edge[CHAIN | SIDE] = lost.mean(1).float()
    assert by_edge[CHAIN].gt(0.85).all()
    assert by_edge[SIDE].lt(0.01).all()


def test_what_each_edge_is_worth_is_the_same_in_parts(monkeypatch) -> None:
    whole = lost_without(Made(), CHAIN | SIDE)
    monkeypatch.setattr("circuits.edge_search.choose._LEFT_OUT_TOGETHER", 2)
    assert lost_without(Made(), CHAIN | SIDE).equal(whole)


def test_what_the_chosen_edges_are_worth_is_measured_once() -> None:
    choice = chooser()
    choice.along("early", ranking(CHAIN, SIDE))
    lost, runs = choice.lost(), choice.validation.runs_so_far
    assert choice.lost().equal(lost)
    assert choice.validation.runs_so_far == runs


def test_large_circuits_are_not_thinned(monkeypatch) -> None:
    monkeypatch.setattr("circuits.edge_search.choose.MOST_LEFT_OUT", 3)
    choice = chooser()
    choice.along("late", ranking(SIDE, CHAIN))
    assert not choice.is_small
    tried = choice.curve
    choice.thin()
    assert choice.curve == tried


def test_edges_of_a_size_lead_somewhere() -> None:
    assert chosen_edges(ranking(CHAIN, SIDE), 4).equal(CHAIN)


def test_the_judged_interval_is_that_of_both_sets() -> None:
    choice = chooser(keep=50.0)
    choice.along("early", ranking(CHAIN, SIDE))
    runs = [on.with_baselines(CHAIN[None]).numpy() for on in (choice.search, choice.validation)]

    def percent(first, second):
        both = 0.5 * first + second
        return (100 * (both[2] - both[0]) / (both[1] - both[0]))[None]

    (expected,) = Bootstrap().estimates(percent, *runs)
    point = next(point for point in choice.curve.points if len(point) == 3)
    assert point.judged == expected
