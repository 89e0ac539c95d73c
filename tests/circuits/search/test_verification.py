"""What is said of paths that were left out: looks at samples of them, and gradients that vanish."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from circuits.components import Node, Receiver
from circuits.patching import EdgeEstimates
from circuits.search import Verifier
from circuits.search.connect import AboveLeast
from circuits.search.verification import Look
from tests.circuits.search.world import GRAPH, LOGITS, World, paths, searched


def vanishing(seed: int, share: float) -> World:
    """Some gradients into heads vanish: estimate and remainder are 0, and the effect is 0.5."""
    world = World.random(seed, curvature=6.0)
    dead = torch.rand(world.estimate.values.shape, generator=torch.Generator().manual_seed(seed))
    for receiver in GRAPH.receivers:
        dead[GRAPH.row(receiver)] += receiver.is_logits
    for values, instead in ((world.estimate, 0.0), (world.remainder, 0.0), (world.exact, 0.5)):
        known = ~values.values.isnan()
        values.values[(dead < share) & known] = instead
    return world


class EveryHead:
    """Into the logits, and nothing else: whatever is learned, no selection rests on it."""

    def select(self, effects: torch.Tensor, receiver: Receiver) -> tuple[Node, ...]:
        return GRAPH.senders if receiver.is_logits else ()

    def deciding(
        self, effects: torch.Tensor, errors: torch.Tensor, receiver: Receiver
    ) -> tuple[Node, ...]:
        return ()


class TestVanishingGradients:
    def test_an_effect_that_was_sampled_is_in_the_bound(self) -> None:
        """Where nothing is opened again: no curvature times nothing is an error."""
        world = vanishing(0, 1.0)
        _, found = searched(world.verifier(20), EveryHead())
        assert found.sampled == found.verified == 20
        assert found.missed_effect == 0.5
        assert 0.8 < found.coverage < 1

    def test_one_that_is_found_opens_its_receiver_again(self) -> None:
        world = vanishing(1, 1.0)
        selector = AboveLeast(0.01, GRAPH)
        circuit, found = searched(world.verifier(8), selector)
        assert paths(circuit) == paths(world.true_circuit(selector))
        assert (found.missed_effect, found.coverage) == (0.0, 1.0)

    @pytest.mark.parametrize("share", [0.06, 0.13, 0.5])
    def test_the_bound_holds_as_often_as_it_says(self, share: float) -> None:
        """Also where receivers are opened again behind the sample, and what vanished is left."""
        broken, selector = 0, AboveLeast(0.05, GRAPH)
        for seed in range(12):
            world = vanishing(seed, share)
            verifier = world.verifier(12, seed)
            circuit, found = searched(verifier, selector)
            left_out = world.exact.values[verifier.left_out(selector, circuit)].abs()
            n_larger = int((left_out > found.missed_effect).sum())
            broken += n_larger > (1 - found.coverage) * len(left_out) + 1e-6
        assert broken <= 1

    def test_nothing_is_sure_of_an_estimator_that_does_not_say_so(self) -> None:
        """All estimates into the logits are 0, and no remainder says that this is exact."""
        world = World.random(0)
        world.estimate.into(LOGITS)[:] = 0.0
        world.exact.into(LOGITS)[:] = 0.4
        verifier = Verifier(EdgeEstimates(world.estimate, None), world.measure, 6, 0)
        circuit, _ = searched(verifier, AboveLeast(0.01, GRAPH))
        assert circuit.heads == set(GRAPH.heads)


class TestLook:
    EVERY = torch.ones(3, 100, dtype=torch.bool)

    def look(self, number: int, left_out: torch.Tensor, n_drawn: int) -> Look:
        order = left_out.flatten().nonzero()[:n_drawn, 0]
        drawn = torch.zeros(left_out.numel(), dtype=torch.bool)
        drawn[order] = True
        return Look(number, left_out, drawn.reshape(left_out.shape))

    def test_all_looks_together_are_wrong_in_1_of_20_runs_at_most(self) -> None:
        """Each by its own level, though nobody knows how many there will be."""
        n_all, n_drawn = 300, 30
        wrong = 0.0
        for number in range(1, 8):
            most = self.look(number, self.EVERY, n_drawn).most_larger
            wrong += stats.hypergeom(n_all, most + 1, n_drawn).pmf(0)
            assert most == n_all or most < n_all - n_drawn or number > 3
        assert wrong <= 0.05

    def test_it_speaks_for_most_of_what_it_was_drawn_from(self) -> None:
        before = self.EVERY.clone()
        before[0] = False
        look = self.look(1, before, n_drawn=50)
        rest = before & ~look.drawn
        assert look.speaks_for(rest)
        fewer = rest.clone()
        fewer[1] = False
        assert look.speaks_for(fewer)
        fewer[2, :30] = False
        assert not look.speaks_for(fewer), "less than half is left"
        assert not look.speaks_for(self.EVERY), "there is more than there was"
