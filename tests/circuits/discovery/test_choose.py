"""Heads chosen for the company they keep: on models whose circuits are known, and on a toy."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from circuits import Discovery, discover_circuit
from circuits.components import Head
from circuits.discover import run_discovery
from circuits.discovery.choose import Chooser
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.origin import other_pairs
from circuits.discovery.rankings import IN_CONTEXT, ONCE, rank_heads
from circuits.discovery.session import Session
from circuits.errors import InputError
from circuits.evaluation import Evaluator
from circuits.truth import list_truths, load_truth
from tests.circuits.conftest import toy_discovery

CONFIG = DiscoveryConfig(method="in-context", n_validation_prompts=6, n_held_out_prompts=8)


@pytest.fixture(scope="module")
def chosen(toy) -> Discovery:
    return toy_discovery(
        *toy, method="in-context", keep=70.0, n_validation_prompts=6, n_held_out_prompts=8
    )


@pytest.mark.parametrize("name", list_truths())
def test_circuits_that_are_known_are_found(name: str) -> None:
    """By their true heads and no others."""
    truth = load_truth(name)
    found = discover_circuit(truth.model, truth.task, method="in-context")
    assert found.circuit.heads == truth.heads


class TestPrompts:
    def test_none_is_in_two_sets(self, toy) -> None:
        session = Session.of(*toy, CONFIG)
        sets = [session.mean_pairs, *other_pairs(*toy, CONFIG, session.mean_pairs)]
        texts = [set(pairs.clean_text) for pairs in sets]
        assert [len(pairs) for pairs in sets[1:]] == [6, 8]
        assert sum(map(len, texts)) == len(set().union(*texts))
        assert set(session.pairs.clean_text) <= texts[0]

    def test_both_go_through_all_templates(self, toy) -> None:
        session = Session.of(*toy, CONFIG)
        for pairs in other_pairs(*toy, CONFIG, session.mean_pairs):
            assert set(pairs.template.tolist()) == set(session.pairs.template.tolist())


def test_one_ranking_is_of_all_heads_and_the_other_of_those_that_are_needed(toy) -> None:
    session = Session.of(*toy, CONFIG)
    orders = rank_heads(session, session.evaluator(), 70).orders
    assert list(orders) == [IN_CONTEXT, ONCE]
    once, again = (orders[name] for name in (ONCE, IN_CONTEXT))
    assert set(once) == set(session.graph.heads)
    assert len(set(once)) == len(once)
    assert set(again) <= set(once)
    assert len(set(again)) == len(again)


class TestTheChoice:
    def test_it_keeps_what_was_asked_for_where_it_was_chosen(self, toy, chosen) -> None:
        point = chosen.sizes.point
        assert chosen.sizes.reaches
        assert point.heads == chosen.circuit.heads
        own = Session.of(*toy, chosen.config)
        validation, held_out = other_pairs(*toy, chosen.config, own.mean_pairs)
        first = Evaluator(own.model, own.pairs, own.mean_pairs, own.metric)
        for pairs, kept in (
            (own.pairs, point.search.value),
            (validation, point.validation.value),
            (held_out, point.held_out.value),
        ):
            assert first.on(pairs).performance(point.heads) == pytest.approx(kept, abs=1e-3)

    def test_what_is_reported_is_of_prompts_that_nobody_has_seen(self, chosen) -> None:
        assert chosen.performance == chosen.sizes.point.held_out.value

    def test_no_smaller_circuit_that_was_tried_would_do(self, chosen) -> None:
        sizes = chosen.sizes
        smaller = [point for point in sizes.points if len(point) < len(sizes.point)]
        assert smaller
        assert not any(point.keeps(chosen.config.keep) for point in smaller)

    def test_it_does_without_none_of_its_heads(self, chosen) -> None:
        """The one that costs least was left out, and too little was kept."""
        heads = chosen.circuit.heads
        assert chosen.contributions.kept.keys() == heads
        tried = [p for p in chosen.sizes.points if p.heads < heads and len(p) == len(heads) - 1]
        assert tried
        assert not any(point.keeps(chosen.config.keep) for point in tried)

    def test_every_stage_has_its_cost(self, chosen) -> None:
        stages = [stage.stage for stage in chosen.cost.stages]
        assert stages == ["behaviour", "means", "pruning", "validation", "patching", "evaluation"]
        assert all(stage.flops > 0 for stage in chosen.cost.stages)

    def test_it_is_the_same_again(self, toy, chosen) -> None:
        again = discover_circuit(*toy, **vars(chosen.config))
        assert again == replace(chosen, cost=again.cost)

    def test_it_goes_on_where_it_was_cut_off(self, toy, chosen, tmp_path) -> None:
        """What was ranked is not ranked again, and the end is the same to the last digit."""

        def stop(stage: str, fraction: float) -> None:
            if stage == "validation" and fraction >= 0.3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_discovery(*toy, chosen.config, stop, tmp_path)
        again = run_discovery(*toy, chosen.config, None, tmp_path, resume=True)
        assert again.cost.of("pruning").flops == 0
        assert again == replace(chosen, cost=again.cost)

    def test_it_survives_being_saved(self, chosen, tmp_path) -> None:
        chosen.save(tmp_path)
        assert Discovery.load(tmp_path) == chosen
        assert Discovery.load(tmp_path).sizes == chosen.sizes


def test_prompts_of_the_search_count_less_the_more_heads_were_found_on_them(toy) -> None:
    """Evenly: leaving out one head never brings all of their weight back. And more is to spare."""
    session = Session.of(*toy, CONFIG)
    evaluator = session.evaluator()
    few, others = evaluator.on(evaluator.pairs[:5]), evaluator.on(evaluator.pairs[5:])
    heads = sorted(evaluator.everything)
    circuits = [frozenset(heads[:n]) for n in range(1, 12)]
    points = Chooser(70, few, others).tried("any", circuits)
    for n, point in enumerate(points, start=1):
        weight = max(0.0, 1 - n / 10)
        runs = [one.metrics([one.everything, point.heads]).mean(1) for one in (few, others)]
        full, kept = weight * runs[0] + runs[1]
        assert point.judged.value == pytest.approx(100 * float(kept / full), abs=1e-3)
        assert point.spare == pytest.approx(min(2, max(0.5, 2 * (n / 5) ** 2)))
    assert points[-1].judged.value == pytest.approx(points[-1].validation.value)
    assert points[0].judged.value != pytest.approx(points[0].validation.value)


class Prompts(list[float]):
    def in_turn(self, n: int, turn: int) -> Prompts:
        return Prompts(self[(turn * n + place) % len(self)] for place in range(n))


class Additive(Evaluator):
    """Prompts to which every head adds its own worth; counts the runs of a prompt."""

    def __init__(self, worth: dict[Head, float], pairs: Prompts, runs: list[int]) -> None:
        self.worth, self.pairs, self.runs, self._known = worth, pairs, runs, {}
        self.full_metric = self._full_metric()

    @property
    def everything(self) -> frozenset[Head]:
        return frozenset(self.worth)

    def run(self, pairs, circuits, ablation="mean", progress=None) -> Tensor:
        self.runs.append(len(circuits) * len(pairs))
        kept = [sum(self.worth[head] for head in heads) for heads in circuits]
        return torch.tensor(kept).double()[:, None] + 0.01 * torch.tensor(pairs)


def test_what_a_bad_ranking_leaves_is_thinned_in_few_passes() -> None:
    heads = [Head(layer, index) for layer in range(20) for index in range(10)]
    worth = dict.fromkeys(heads, 0.0) | dict.fromkeys(heads[-6:], 1.0)
    runs: list[int] = []
    sets = [Additive(worth, Prompts(n + k / 16 for k in range(16)), runs) for n in (0, 1)]
    chooser = Chooser(80, *sets)
    chosen = chooser.choose({"the worst first": heads}).point.heads
    assert len(chosen) == 5
    assert chosen < set(heads[-6:])
    assert sum(runs) < 200 * 16


def test_a_large_circuit_is_thinned_in_as_few() -> None:
    """Neighbours in its ranking are left out together: one by one, a round would be 8,000 runs."""
    heads = [Head(layer, index) for layer in range(40) for index in range(25)]
    worth = dict.fromkeys(heads, 1.0) | dict.fromkeys(heads[300:700], 0.0)
    runs: list[int] = []
    sets = [Additive(worth, Prompts(n + k / 16 for k in range(16)), runs) for n in (0, 1)]
    chosen = Chooser(95, *sets).choose({"by layer": heads}).point.heads
    assert 570 <= len(chosen) <= 590
    assert len(chosen.intersection(heads[300:700])) < 15
    assert sum(runs) < 400 * 16


class Wavering(Additive):
    """The same, but circuits of fewer than ten heads do well on every second prompt alone."""

    def run(self, pairs, circuits, ablation="mean", progress=None) -> Tensor:
        wave = torch.tensor([(-1) ** round(16 * prompt) for prompt in pairs]).double()
        wavers = torch.tensor([len(heads) < 10 for heads in circuits]).double()
        return super().run(pairs, circuits, ablation) + 2.6 * wavers[:, None] * wave


def test_one_that_just_misses_the_margin_is_worth_more_than_one_three_times_as_large() -> None:
    heads = [Head(0, index) for index in range(20)]
    worth = dict.fromkeys(heads, 0.02) | dict.fromkeys(heads[:3], 1.0)
    sets = [Wavering(worth, Prompts(n + k / 16 for k in range(16)), []) for n in (0, 1)]
    curve = Chooser(85, *sets).choose({"by worth": heads})
    assert curve.point.heads == set(heads[:3])
    assert curve.reaches
    assert curve.margin == 0.5
    surely = [point for point in curve.points if point.keeps(85)]
    assert min(map(len, surely)) == 10


class TestAnotherCircuit:
    def test_of_another_size(self, chosen) -> None:
        larger = chosen.at(heads=len(chosen.circuit) + 2)
        assert larger.circuit.heads == larger.sizes.point.heads
        assert larger.performance == larger.sizes.point.held_out.value
        assert {edge.connection for edge in larger.circuit.edges} <= chosen.circuit.connections

    def test_and_back(self, chosen) -> None:
        assert chosen.at(keep=chosen.config.keep).circuit == chosen.circuit

    def test_other_methods_have_one_alone(self, found) -> None:
        with pytest.raises(InputError, match="discover with method in-context"):
            found.at(keep=90)
