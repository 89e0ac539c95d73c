"""Selection by p-values that are given: by the book, and what errors could flip."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.components import HEAD_INPUTS, Head, Receiver, all_heads
from circuits.search.grow import SelectionRule, Selector, grow
from circuits.search.significant import check_power, selector_of
from circuits.search.verification import verified_growth
from tests.circuits.search.test_grow import LOGITS, layers_above, tables
from tests.circuits.search.test_verification import SIZES, World, paths, unit_of

NAN = float("nan")

p_tables = st.lists(
    st.lists(st.sampled_from([0.001, 0.01, 0.02, 0.04, 0.3, 1.0]), min_size=3, max_size=3),
    min_size=4,
    max_size=4,
).map(torch.tensor)


def selector(p_values: torch.Tensor, **settings: float) -> Selector:
    return selector_of(SelectionRule(kind="significance", **settings), lambda _: p_values)


class TestSelect:
    @settings(deadline=None)
    @given(tables, p_tables, layers_above, st.sampled_from([0.01, 0.05, 0.2]))
    def test_by_the_book(self, effects, p_values, receiver, rate: float) -> None:
        """Step up over the senders below the receiver alone, and then the smallest effect."""
        below = 4 if receiver.head is None else receiver.head.layer
        ranked = sorted(p_values[:below].flatten().tolist())
        passing = [p for k, p in enumerate(ranked, start=1) if p * len(ranked) / k <= rate]
        limit = max(passing, default=-1.0)
        expected = {
            head
            for head in all_heads(below, 3)
            if p_values[head.layer, head.index] <= limit
            and abs(float(effects[head.layer, head.index])) > 0.3
        }
        tested = selector(p_values, min_effect=0.3, false_discovery_rate=rate)
        assert set(tested.select(effects, receiver)) == expected

    def test_heads_that_pruning_left_out_are_not_counted(self) -> None:
        effects, p_values = torch.full((3, 4), NAN), torch.full((3, 4), NAN)
        effects[2, :2], p_values[2, :2] = 0.5, torch.tensor([0.04, 1.0])
        tested = selector(p_values, false_discovery_rate=0.08)
        assert tested.select(effects, LOGITS) == (Head(2, 0),)
        everyone = selector(p_values.nan_to_num(1.0), false_discovery_rate=0.08)
        assert everyone.select(effects.nan_to_num(), LOGITS) == ()

    def test_what_stands_out_and_is_chance_is_left_out(self) -> None:
        effects, p_values = torch.zeros(3, 4), torch.ones(3, 4)
        effects[2, 1], effects[0, 3], p_values[0, 3] = 0.9, 0.02, 1e-4
        assert SelectionRule().select(effects, LOGITS) == (Head(2, 1),)
        assert selector(p_values).select(effects, LOGITS) == (Head(0, 3),)

    def test_a_rule_that_needs_none_takes_no_p_values(self) -> None:
        rule = SelectionRule()
        assert selector_of(rule, pytest.fail) is rule
        untold, effects = SelectionRule(kind="significance"), torch.zeros(3, 4)
        with pytest.raises(ValueError, match="asked to select without p-values"):
            untold.select(effects, LOGITS)
        with pytest.raises(ValueError, match="asked to select without p-values"):
            untold.deciding(effects, effects, LOGITS)


@settings(deadline=None)
@given(tables, p_tables, layers_above, st.floats(0.0, 0.5), st.data())
def test_deciding_is_whatever_errors_could_flip(
    effects, p_values, receiver, size: float, data
) -> None:
    tested = selector(p_values, min_effect=0.3, false_discovery_rate=0.2)
    errors, parts = torch.full((4, 3), size), data.draw(tables)
    before, after = (
        set(tested.select(table, receiver)) for table in (effects, effects + parts * 0.999 * errors)
    )
    unsure = set(tested.deciding(effects, errors, receiver))
    assert before ^ after <= unsure
    significant = set(tested.select(torch.ones(4, 3), receiver))
    assert unsure <= significant, "what is not significant is decided"
    for head in unsure:
        assert abs(abs(float(effects[head.layer, head.index])) - 0.3) <= size + 1e-6


def test_a_circuit_grows_by_p_values() -> None:
    every = (LOGITS, *(Receiver(head, i) for head in all_heads(3, 8) for i in HEAD_INPUTS))
    effects = {receiver: torch.ones(3, 8) for receiver in every}
    chance = {receiver: torch.ones(3, 8) for receiver in every}
    chance[LOGITS][2, 3] = chance[Receiver.parse("2.3.q")][1, 1] = 1e-4
    tested = selector_of(SelectionRule(kind="significance"), chance.__getitem__)
    circuit = grow(effects.__getitem__, tested, 3, 8)
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
            lambda receiver: (1 - 12 * world.estimate[unit_of(receiver)].abs()).clamp(min=1e-6),
        )

    def test_only_significant_paths_near_the_smallest_effect_are_run(self) -> None:
        """P-values are given, so that nothing rests on errors but the smallest effect."""
        asked, flipped = 0, 0
        for seed in (3, 4):
            world = World.random(seed)
            verifier, tested = world.verifier(), self.selector_in(world)
            (found,) = verified_growth(verifier, [tested], *SIZES)
            truth = grow(lambda receiver, w=world: w.exact[unit_of(receiver)], tested, *SIZES)
            assert paths(found) == paths(truth)
            for receiver, head in world.asked:
                assert head in tested.select(torch.ones(SIZES), receiver)
            asked += len(world.asked)
            flipped += verifier.report(tested, found).flipped
        assert asked > 0
        assert flipped > 0


def test_power_is_what_the_fewest_prompts_can_show() -> None:
    tests = SelectionRule(kind="significance")
    check_power(tests, n_prompts=14, n_senders=270)
    check_power(SelectionRule(), n_prompts=1, n_senders=270)
    with pytest.raises(ValueError, match=r"13 prompts .* of 270 senders .*at least 14 prompts"):
        check_power(tests, n_prompts=13, n_senders=270)
    with pytest.raises(ValueError, match="prune further"):
        check_power(tests, n_prompts=64, n_senders=10**6)
