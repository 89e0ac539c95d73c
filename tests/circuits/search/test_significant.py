"""Selection by p-values that are given: by the book, and what errors could flip."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.components import Head, Receiver
from circuits.errors import SettingError
from circuits.graph import ModelGraph
from circuits.search import SelectionRule, Selector, ThresholdSelector, selector_of
from circuits.search.at_rest import verified_growth
from circuits.search.grow import grow
from circuits.search.significant import check_power
from circuits.statistics import size_p_values
from tests.circuits.search.effects import (
    LOGITS,
    NAN,
    below,
    graph_of,
    layers_above,
    select,
    tables,
)
from tests.circuits.search.world import GRAPH, World, paths

p_tables = st.lists(
    st.lists(st.sampled_from([0.001, 0.01, 0.02, 0.04, 0.3, 1.0]), min_size=3, max_size=3),
    min_size=4,
    max_size=4,
).map(torch.tensor)


def selector(p_values: torch.Tensor, **settings: float) -> Selector:
    rule = SelectionRule(kind="significance", **settings)
    return selector_of(rule, graph_of(p_values), lambda receiver, least: below(p_values, receiver))


class TestSelect:
    @settings(deadline=None)
    @given(tables, p_tables, layers_above, st.sampled_from([0.01, 0.05, 0.2]))
    def test_by_the_book(self, effects, p_values, receiver, rate: float) -> None:
        """Step up over the senders below the receiver alone, and then the smallest effect."""
        ranked = sorted(below(p_values, receiver).tolist())
        passing = [p for k, p in enumerate(ranked, start=1) if p * len(ranked) / k <= rate]
        limit = max(passing, default=-1.0)
        expected = {
            head
            for head in graph_of(p_values).senders_below(receiver)
            if p_values[head.layer, head.index] <= limit
            and abs(float(effects[head.layer, head.index])) > 0.3
        }
        tested = selector(p_values, min_effect=0.3, false_discovery_rate=rate)
        assert set(tested.select(below(effects, receiver), receiver)) == expected

    def test_heads_that_pruning_left_out_are_not_counted(self) -> None:
        effects, p_values = torch.full((3, 4), NAN), torch.full((3, 4), NAN)
        effects[2, :2], p_values[2, :2] = 0.5, torch.tensor([0.04, 1.0])
        tested = selector(p_values, false_discovery_rate=0.08)
        assert tested.select(effects.flatten(), LOGITS) == (Head(2, 0),)
        everyone = selector(p_values.nan_to_num(1.0), false_discovery_rate=0.08)
        assert everyone.select(effects.nan_to_num().flatten(), LOGITS) == ()

    def test_what_stands_out_and_is_chance_is_left_out(self) -> None:
        effects, p_values = torch.zeros(3, 4), torch.ones(3, 4)
        effects[2, 1], effects[0, 3], p_values[0, 3] = 0.9, 0.02, 1e-4
        assert select(SelectionRule(), effects) == (Head(2, 1),)
        assert selector(p_values).select(effects.flatten(), LOGITS) == (Head(0, 3),)

    def test_a_rule_that_needs_none_takes_no_p_values(self) -> None:
        rule = SelectionRule()
        assert selector_of(rule, GRAPH, pytest.fail) == ThresholdSelector(rule, GRAPH)


@settings(deadline=None)
@given(tables, p_tables, layers_above, st.floats(0.0, 0.5), st.data())
def test_deciding_is_whatever_errors_could_flip(
    effects, p_values, receiver, size: float, data
) -> None:
    tested = selector(p_values, min_effect=0.3, false_discovery_rate=0.2)
    effects, parts = below(effects, receiver), below(data.draw(tables), receiver)
    errors = torch.full_like(effects, size)
    before, after = (
        set(tested.select(some, receiver)) for some in (effects, effects + parts * 0.999 * errors)
    )
    unsure = set(tested.deciding(effects, errors, receiver))
    assert before ^ after <= unsure
    significant = set(tested.select(torch.ones_like(effects), receiver))
    assert unsure <= significant, "what is not significant is decided"
    for head in unsure:
        assert abs(abs(float(effects[3 * head.layer + head.index])) - 0.3) <= size + 1e-6


@pytest.mark.parametrize("share", [0.3, 0.8, 1.0])
def test_few_of_those_kept_are_smaller_than_asked_for(share: float) -> None:
    """Most effects are a share of what counts, and none is 0; chance makes some of them large."""
    draw, graph, n_prompts, least = torch.Generator().manual_seed(0), ModelGraph(1, 20, 20), 10, 0.1
    rule = SelectionRule(kind="significance", min_effect=least, false_discovery_rate=0.2)
    true = torch.full((20,), share * least)
    true[:4] = 0.5
    false, kept = [], 0
    for _ in range(150):
        changes = true[:, None] + 0.12 * torch.randn(20, n_prompts, generator=draw)

        def p_values(receiver: Receiver, least: float, changes=changes) -> torch.Tensor:
            return size_p_values(changes, torch.full((n_prompts,), least))

        found = selector_of(rule, graph, p_values).select(changes.mean(-1), LOGITS)
        wrong = [head for head in found if true[graph.column(head)] <= least]
        false.append(len(wrong) / max(1, len(found)))
        kept += len(found) - len(wrong)
    assert sum(false) / len(false) <= 0.2 + 0.03
    assert kept > 0.9 * 4 * 150, "and what is large is found"


def test_a_circuit_grows_by_p_values() -> None:
    graph = ModelGraph(3, 8, 8)
    effects = {r: torch.ones(graph.below(r).stop) for r in graph.receivers}
    chance = {receiver: ones.clone() for receiver, ones in effects.items()}
    for sender, receiver in ((Head(2, 3), LOGITS), (Head(1, 1), Receiver.parse("2.3.q"))):
        chance[receiver][graph.column(sender)] = 1e-4
    rule = SelectionRule(kind="significance")
    tested = selector_of(rule, graph, lambda receiver, least: chance[receiver])
    circuit = grow(effects.__getitem__, tested, graph)
    assert {str(edge) for edge in circuit.edges} == {
        "2.3 -> logits (+1.000)",
        "1.1 -> 2.3.q (+1.000)",
    }


class TestVerified:
    RULE = SelectionRule(kind="significance", min_effect=0.06, false_discovery_rate=0.3)

    def selector_in(self, world: World) -> Selector:
        """The larger an estimate, the less it is chance."""
        return selector_of(
            self.RULE,
            GRAPH,
            lambda receiver, least: (1 - 12 * world.estimate.into(receiver).abs()).clamp(min=1e-6),
        )

    def test_only_significant_paths_near_the_smallest_effect_are_run(self) -> None:
        """P-values are given, so that nothing rests on errors but the smallest effect."""
        asked, flipped = 0, 0
        for seed in (3, 4):
            world = World.random(seed)
            tested = self.selector_in(world)
            ((found, seen),) = verified_growth(world.verifier(), [tested])
            truth = world.true_circuit(tested)
            assert paths(found) == paths(truth)
            for receiver, head in world.asked:
                certain = torch.ones(len(GRAPH.senders_below(receiver)))
                assert head in tested.select(certain, receiver)
            asked += len(world.asked)
            flipped += seen.flipped
        assert asked > 0
        assert flipped > 0


def test_power_is_what_the_fewest_prompts_can_show() -> None:
    tests = SelectionRule(kind="significance")
    check_power(tests, n_prompts=14, n_senders=270)
    check_power(SelectionRule(), n_prompts=1, n_senders=270)
    with pytest.raises(SettingError, match=r"13 prompts .* of 270 senders .*at least 14 prompts"):
        check_power(tests, n_prompts=13, n_senders=270)
    with pytest.raises(SettingError, match="prune further"):
        check_power(tests, n_prompts=64, n_senders=10**6)
