"""Verification with dictionaries in the place of a model and of its estimates."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.circuit import Circuit
from circuits.components import Head, Receiver
from circuits.patching import EdgeEstimates, EdgeValues
from circuits.search import SelectionRule, Selector, ThresholdSelector, Verifier
from circuits.search.grow import grow, receivers_of
from tests.circuits.search.world import GRAPH, LOGITS, SELECTOR, World, paths, searched

STRICT = ThresholdSelector(
    SelectionRule(threshold=1.6, logits_threshold=1.2, min_effect=0.02), GRAPH
)
UPPER, LOWER = Receiver(Head(3, 0), "q"), Receiver(Head(1, 0), "q")
N_HEADS = len(GRAPH.heads)


EVERYTHING = 10**6


def grown(verifier: Verifier, selector: Selector = SELECTOR) -> Circuit:
    return searched(verifier, selector)[0]


def reached(circuit: Circuit) -> set[Receiver]:
    return {GRAPH.unit(receiver) for receiver in receivers_of(circuit, GRAPH)}


class TestGrowth:
    def test_one_uncertain_sender_a_receiver_gives_the_exact_circuit(self) -> None:
        """Curvature is at most 1 and no errors add up: 299 of 300 were right when written."""
        for seed in range(40):
            world = World.random(seed, uncertain=1)
            assert paths(grown(world.verifier())) == paths(world.true_circuit())

    @pytest.mark.parametrize("seed", [237, 785894])
    def test_where_it_does_not_one_path_is_wrong(self, seed: int) -> None:
        """A receiver's many good estimates, verified first, speak for its bad one."""
        world = World.random(seed, uncertain=1)
        assert len(paths(grown(world.verifier())) ^ paths(world.true_circuit())) <= 1

    def test_many_uncertain_senders_nearly_always_give_it(self) -> None:
        """Estimates alone get two of three wrong; verified, 148 of 150 were right when written."""
        wrong, misled = 0, 0
        for seed in range(25):
            world = World.random(seed)
            truth = paths(world.true_circuit())
            estimated = grow(world.estimate.into, SELECTOR, GRAPH)
            misled += paths(estimated) != truth
            wrong += paths(grown(world.verifier())) != truth
        assert misled >= 12
        assert wrong <= 1

    def test_few_paths_are_run(self) -> None:
        asked, known = 0, 0
        for seed in range(8):
            world = World.random(seed)
            _, found = searched(world.verifier())
            known += found.estimated
            asked += found.verified
        assert 0 < asked < 0.35 * known

    @settings(deadline=None, max_examples=6)
    @given(st.integers(0, 10**6), st.integers(0, 40))
    def test_nothing_is_asked_twice_and_only_what_is_a_path(self, seed: int, n: int) -> None:
        world = World.random(seed, curvature=3.0)
        verifier = world.verifier(n)
        for selector in (STRICT, SELECTOR, STRICT):
            grown(verifier, selector)
        assert len(world.asked) == len(set(world.asked))
        for receiver, head in world.asked:
            assert receiver == GRAPH.unit(receiver)
            assert receiver.head is not None, "the sweep is exact there"
            assert head.layer < receiver.head.layer

    @settings(deadline=None, max_examples=6)
    @given(st.integers(0, 10**6))
    def test_values_are_exact_effects_where_asked_and_estimates_elsewhere(self, seed) -> None:
        world = World.random(seed)
        verifier = world.verifier(20)
        circuit, values, asked = grown(verifier), verifier.values(), set(world.asked)
        expected = world.estimate.values.clone()
        for receiver, head in asked:
            place = GRAPH.row(receiver), GRAPH.column(head)
            expected[place] = world.exact.values[place]
        assert torch.equal(values.values.nan_to_num(9.0), expected.nan_to_num(9.0))
        assert grow(values.into, SELECTOR, GRAPH) == circuit

    def test_several_rules_share_what_is_verified(self) -> None:
        for seed in range(4):
            world = World.random(seed, uncertain=1)
            both = world.verifier()
            for selector in (SELECTOR, STRICT):
                assert paths(grown(both, selector)) == paths(world.true_circuit(selector))
            twice = len(world.asked)
            world.asked.clear()
            for selector in (SELECTOR, STRICT):
                grown(world.verifier(), selector)
            assert twice == len(set(world.asked))

    def test_estimates_suffice_where_one_sender_stands_out_far_or_none_does(self) -> None:
        world = World.random(3, uncertain=0)
        for unit in GRAPH.receivers:
            if not GRAPH.senders_below(unit):
                continue
            row = world.estimate.into(unit)
            size = 0.0 if unit.head and unit.head.layer == 1 else 1.0
            row.copy_(size * (row == row.max()))
            world.exact.into(unit).copy_(1.05 * row)
        verifier = world.verifier()
        assert paths(grown(verifier)) == paths(world.true_circuit())
        assert world.asked == []


def crooked() -> World:
    """Two receivers: the upper one's senders look decided unless curvature is far above 1.

    1.0.q's sender 0.0 is at its limit, so that 0.1 must be verified, and that is 40 remainders
    off. Into 3.0.q, 0.1 would stand out at 15.
    """
    world = World.random(0, uncertain=0)
    for values in (world.estimate, world.remainder):
        values.values[~values.values.isnan()] = 0.0
    world.estimate.put(LOGITS, [Head(3, 0), Head(1, 0)], [1.0, 1.0])
    world.estimate.put(UPPER, [Head(0, 0)], [1.0])
    world.remainder.put(UPPER, [Head(0, 1)], [0.04])
    world.estimate.put(LOWER, [Head(0, 0), Head(0, 1)], [1.0, 0.47])
    world.remainder.put(LOWER, [Head(0, 1)], [0.02])
    world.exact.values.copy_(world.estimate.values)
    world.exact.put(UPPER, [Head(0, 1)], [0.6])
    world.exact.put(LOWER, [Head(0, 1)], [1.27])
    return world


class TestCurvature:
    def test_one_that_is_far_above_1_reopens_receivers_that_were_settled(self) -> None:
        world = crooked()
        verifier = world.verifier()
        once = grow(lambda receiver: verifier.effects(receiver, SELECTOR), SELECTOR, GRAPH)
        assert {receiver for receiver, _ in world.asked} == {LOWER}
        assert verifier.curvature > 15
        assert (Head(0, 1), UPPER) not in paths(once)
        again = grown(verifier)
        assert (UPPER, Head(0, 1)) in world.asked
        assert (Head(0, 1), UPPER) in paths(again)
        assert paths(again) == paths(world.true_circuit())

    def test_a_random_sample_finds_one_that_no_selection_would(self) -> None:
        """Every path looks decided; all of them are far off."""
        world = World.random(5)
        for unit in GRAPH.receivers:
            row = world.remainder.into(unit)
            row[:] = 0.0 if unit.is_logits else 1e-5
            world.exact.into(unit).copy_(world.estimate.into(unit) + 300 * row)
        unsampled, sampled = world.verifier(), world.verifier(30)
        before = searched(unsampled)[1].verified
        _, after = searched(sampled)
        assert after.curvature > 150
        assert after.verified - after.sampled > before
        assert sampled.curvature > 50
        assert unsampled.curvature < 20

    def test_it_is_taken_to_be_at_least_1(self) -> None:
        world = World.random(1, curvature=0.01)
        verifier = world.verifier(EVERYTHING)
        grown(verifier)
        assert verifier.curvature == 1.0


class TestSample:
    def test_the_same_seed_draws_the_same_paths(self) -> None:
        draws = {}
        for name, seed in (("first", 7), ("again", 7), ("other", 8)):
            world = World.random(2)
            grown(world.verifier(30, seed))
            draws[name] = world.asked
        assert draws["first"] == draws["again"]
        assert set(draws["first"]) != set(draws["other"])

    @pytest.mark.parametrize("n", [1, 7, 30])
    def test_it_is_as_large_as_was_asked_for(self, n: int) -> None:
        """Where one look is enough; every path that was left may be in it."""
        drawn = set()
        for seed in range(20):
            world = World.random(0, uncertain=0)
            _, found = searched(world.verifier(n, seed))
            assert found.sampled == n
            drawn.update(world.asked)
        assert len(drawn) > 20 + n

    def test_everything_may_be_sampled(self) -> None:
        world = World.random(4)
        verifier = world.verifier(EVERYTHING)
        circuit = grown(verifier)
        assert circuit == grow(verifier.values().into, SELECTOR, GRAPH)
        for receiver in reached(circuit) - {LOGITS}:
            assert torch.equal(verifier.values().into(receiver), world.exact.into(receiver))


class TestReport:
    @settings(deadline=None, max_examples=8)
    @given(st.integers(0, 10**6), st.sampled_from([0, 20]))
    def test_counts_what_the_search_reached(self, seed: int, n: int) -> None:
        world = World.random(seed)
        verifier = world.verifier(n)
        circuit, found = searched(verifier)
        units = reached(circuit)
        asked = [(receiver, head) for receiver, head in world.asked if receiver in units]
        errors = [
            abs(world.exact.of(head, receiver) - world.estimate.of(head, receiver))
            for receiver, head in asked
        ]
        assert found.estimated == sum(len(world.estimate.into(unit)) for unit in units)
        assert found.verified == len(asked)
        assert 0 <= found.sampled <= found.verified
        assert found.largest_error == pytest.approx(max(errors, default=0.0), abs=1e-6)
        assert (found.coverage > 0) == (found.sampled > 0)
        assert (found.mean_error is None) == (found.sampled == 0)
        assert 0 <= found.curvature <= 1.0
        flipped = sum(
            len(
                set(SELECTOR.select(world.estimate.into(unit), unit))
                ^ set(SELECTOR.select(verifier.values().into(unit), unit))
            )
            for unit in units
        )
        assert found.flipped == flipped

    @settings(deadline=None, max_examples=8)
    @given(st.integers(0, 10**6), st.sampled_from([0.3, 1.0]))
    def test_no_path_left_out_has_a_larger_effect_than_it_says(self, seed, curvature) -> None:
        world = World.random(seed, curvature)
        circuit, found = searched(world.verifier())
        bound, asked = found.missed_effect, set(world.asked)
        kept = {(sender, GRAPH.unit(receiver)) for sender, receiver in paths(circuit)}
        left_out = [
            abs(world.exact.of(head, unit))
            for unit in reached(circuit) - {LOGITS}
            for head in GRAPH.senders_below(unit)
            if (unit, head) not in asked and (head, unit) not in kept
        ]
        assert max(left_out, default=0.0) <= bound

    def test_the_mean_error_is_that_of_the_sample_alone(self) -> None:
        """Sampled paths are off by 1e-4; the one that had to be verified by 0.8."""
        world = crooked()
        for unit in GRAPH.receivers:
            if unit not in (LOGITS, LOWER):
                world.exact.into(unit).copy_(world.estimate.into(unit) + 1e-4)
                world.remainder.into(unit)[:] = 1e-3
        _, found = searched(world.verifier(EVERYTHING))
        assert found.largest_error == pytest.approx(0.8)
        assert found.mean_error is not None
        assert found.mean_error < 2e-4

    def test_without_heads_there_is_nothing_to_verify(self) -> None:
        world = World.random(0)
        verifier = world.verifier(EVERYTHING)
        found = verifier.report(SELECTOR, Circuit.of_heads([], 4, 6))
        assert (found.estimated, found.verified, found.flipped) == (N_HEADS, 0, 0)
        assert (found.missed_effect, found.mean_error, found.coverage) == (0.0, None, 1.0)

    def test_what_is_verified_of_a_shared_key_is_reported_once(self) -> None:
        """Two heads of the circuit read it."""
        world = World.random(0, uncertain=0)
        world.estimate.values[~world.estimate.values.isnan()] = 0.0
        world.estimate.put(LOGITS, [Head(1, 0), Head(1, 1)], [1.0, 1.0])
        world.exact.values.copy_(world.estimate.values)
        circuit, found = searched(world.verifier(EVERYTHING))
        assert circuit.heads == {Head(1, 0), Head(1, 1)}
        # The logits, two queries, one key and one value.
        assert found.estimated == N_HEADS + 4 * 6
        assert found.verified == len(world.asked) == 4 * 6


@pytest.mark.parametrize("seed", range(6))
def test_an_estimator_that_does_not_say_may_be_off_by_an_estimate_itself(seed: int) -> None:
    """Into the logits, too: only some estimators are exact there."""
    world = World.random(seed)
    draw = torch.Generator().manual_seed(seed)
    off = 1.8 * torch.rand(world.estimate.values.shape, generator=draw) - 0.9
    world.exact = EdgeValues(GRAPH, world.estimate.values * (1 + off))
    verifier = Verifier(EdgeEstimates(world.estimate, None), world.measure, 30, 0)
    circuit, found = searched(verifier)
    assert len(paths(circuit) ^ paths(world.true_circuit())) <= 1
    assert paths(circuit) != paths(grow(world.estimate.into, SELECTOR, GRAPH))
    assert LOGITS in {receiver for receiver, _ in world.asked}
    assert found.missed_effect > 0 or found.coverage == 1
