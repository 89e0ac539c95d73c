from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits import Discovery
from circuits.circuit import Circuit
from circuits.components import all_heads
from circuits.discovery.config import DiscoveryConfig
from circuits.errors import SettingError
from circuits.search import SelectionRule
from circuits.studies.grid import GridPoint, choose, discover_grid, pareto
from tests.circuits.conftest import ON_DISCOVERY, RULE, toy_discovery
from tests.circuits.prompts import ToyTask

HEADS = all_heads(3, 4)
SETTINGS = DiscoveryConfig(method="path-patching", n_prompts=4, n_mean_prompts=10, selection=RULE)


def point(size: int, performance: float) -> GridPoint:
    return GridPoint(SelectionRule(), Circuit.of_heads(HEADS[:size], 3, 4), performance)


sizes = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 20).map(lambda n: 5.0 * n)),
    min_size=1,
    max_size=8,
)


def of(chosen: GridPoint | None) -> tuple[int, float] | None:
    return None if chosen is None else (len(chosen.circuit), chosen.performance)


class TestChoice:
    @pytest.mark.parametrize(
        ("sizes", "keep", "expected"),
        [
            ([(5, 90.0), (3, 80.0), (2, 70.0)], 75.0, (3, 80.0)),
            ([(5, 90.0), (3, 80.0), (3, 85.0)], 75.0, (3, 85.0)),
            ([(5, 90.0), (3, 75.0)], 75.0, (3, 75.0)),
            ([(5, 70.0), (3, 10.0)], 75.0, None),
        ],
    )
    def test_the_smallest_that_keeps_enough_of_those_the_best(self, sizes, keep, expected) -> None:
        assert of(choose([point(*size) for size in sizes], keep)) == expected

    def test_pareto_by_hand(self) -> None:
        made = [point(*size) for size in ((2, 50.0), (4, 40.0), (4, 80.0), (6, 80.0), (9, 95.0))]
        assert [of(p) for p in pareto(made)] == [(2, 50.0), (4, 80.0), (9, 95.0)]

    def test_equal_circuits_do_not_beat_each_other(self) -> None:
        assert len(pareto([point(3, 60.0), point(3, 60.0)])) == 2

    @settings(deadline=None)
    @given(sizes, st.floats(1, 100))
    def test_pareto_is_what_some_demand_would_choose(self, drawn, keep) -> None:
        some = [point(*size) for size in drawn]
        front = {of(p) for p in pareto(some)}
        assert front == {of(choose(some, p.performance)) for p in some}
        chosen = of(choose(some, keep))
        assert chosen is None or chosen in front
        assert (chosen is None) == (max(p.performance for p in some) < keep)


@pytest.fixture(scope="module")
def grid(toy):
    rules = {"thresholds": (0.8, 0.4), "min_effects": (0.05, 0.001)}
    return discover_grid(*toy, **rules, keep=40.0, config=SETTINGS)


class TestDiscoverGrid:
    def test_every_combination_once(self, grid) -> None:
        rules = [p.selection for p in grid.points]
        assert len(rules) == len(set(rules)) == 4
        assert {(r.threshold, r.min_effect) for r in rules} == {
            (threshold, least) for threshold in (0.4, 0.8) for least in (0.001, 0.05)
        }
        for rule in rules:
            assert rule.logits_threshold == RULE.logits_threshold
            assert rule.distance == RULE.distance

    def test_every_point_is_what_a_discovery_with_its_rule_finds(self, toy, grid) -> None:
        assert len({p.circuit.heads for p in grid.points}) > 1
        for p in (grid.points[0], grid.points[-1]):
            alone = toy_discovery(*toy, method="path-patching", selection=p.selection)
            assert {(e.sender, e.receiver) for e in p.circuit.edges} == {
                (e.sender, e.receiver) for e in alone.circuit.edges
            }
            assert p.performance == pytest.approx(alone.performance)

    def test_it_costs_little_more_than_its_most_expensive_point(self, toy, grid) -> None:
        alone = toy_discovery(*toy, method="path-patching", selection=grid.points[0].selection)
        assert grid.cost.of("patching").flops < 1.5 * alone.cost.of("patching").flops

    def test_what_was_found_is_the_chosen_point(self, grid) -> None:
        expected = grid.chosen or max(grid.points, key=lambda p: p.performance)
        assert grid.found.circuit == expected.circuit
        assert grid.found.performance == expected.performance
        assert grid.found.config.selection == expected.selection
        again = grid.found.evaluate(config=ON_DISCOVERY).performance.value
        assert again == pytest.approx(grid.found.performance, rel=1e-6)


def test_without_thresholds_only_smallest_effects_vary(toy) -> None:
    rule = SelectionRule(kind="significance", false_discovery_rate=0.3)
    settings = replace(SETTINGS, n_prompts=16, selection=rule)
    found = discover_grid(*toy, min_effects=(0.001, 0.03), config=settings)
    assert [p.selection for p in found.points] == [
        replace(rule, min_effect=0.001),
        replace(rule, min_effect=0.03),
    ]
    smaller, larger = (p.circuit for p in reversed(found.points))
    assert 0 < len(smaller.edges) < len(larger.edges)


def test_where_there_is_no_circuit_every_point_is_empty(toy, tmp_path) -> None:
    bridge, _ = toy
    task, settings = ToyTask(bridge, reverse=True), replace(SETTINGS, n_prompts=8)
    found = discover_grid(bridge, task, thresholds=(1.0, 2.0), config=settings)
    assert found.found.verdict is not None
    assert found.found.verdict.refuses
    assert not found.keeps_enough
    assert {len(p.circuit) for p in found.points} == {0}
    found.save(tmp_path)
    assert Discovery.load(tmp_path) == found.found


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ({"thresholds": ()}, "at least one threshold"),
        ({"min_effects": ()}, "at least one threshold and one smallest effect"),
        ({"keep": 0.0}, "above 0 and at most 100, got 0.0"),
        ({"keep": 100.5}, "at most 100"),
        ({"keep": float("nan")}, "got nan"),
        ({"thresholds": (1.0, -1.0)}, "threshold must be above 0, got -1.0"),
        ({"config": DiscoveryConfig(method="flap")}, "'flap' patches no paths"),
    ],
)
def test_nonsense_is_refused_before_anything_runs(toy, given_settings, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        discover_grid(*toy, **given_settings, progress=lambda *_: pytest.fail("ran"))
