"""`swept` and AtP* against one change at a time by hooks, and gradients by autograd."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch

from circuits.components import Connection, Head, Node, Receiver
from circuits.edge_scores import EDGE_SCORERS, EdgeScoreSettings, edge_scores
from circuits.forward import Activations
from circuits.masking import MaskedRuns, NodeOutputs, WeightedEdges
from circuits.masking.readers import Heads
from circuits.metrics import prob_diff
from circuits.patching.exact_receivers import ExactReceivers
from tests.circuits.conftest import shared_model
from tests.circuits.edge_scores.slow_twin import ByHand, Hooks
from tests.circuits.families import FAMILIES, deeper_model
from tests.circuits.prompts import ragged_pairs

PAIRS = ragged_pairs(2)
SOME = tuple(map(Receiver.parse, ("1.2.q", "1.1.k", "2.3.v", "m1", "logits")))
Estimates = dict[tuple[int, int], torch.Tensor]


@lru_cache
def runs_of(family: str) -> MaskedRuns:
    return MaskedRuns(Activations(shared_model(family), PAIRS, prob_diff))


@lru_cache
def by_hand(family: str) -> ByHand:
    return ByHand(shared_model(family), PAIRS, runs_of(family).graph, prob_diff)


def found(family: str, name: str, **settings) -> torch.Tensor:
    return EDGE_SCORERS.get(name).score(runs_of(family), EdgeScoreSettings(**settings)).values


@lru_cache
def lost(family: str) -> Estimates:
    """What some receivers lose without each of their senders."""
    hand = by_hand(family)
    return {
        (hand.graph.row(receiver), hand.graph.column(sender)): hand.lost(receiver, sender).detach()
        for receiver in SOME
        for sender in senders_of(hand, receiver)
    }


def senders_of(hand: ByHand, receiver: Receiver) -> list[Node]:
    """The embedding, a head of each layer, every MLP."""
    return [
        sender
        for sender in hand.graph.senders_below(receiver)
        if not isinstance(sender, Head) or sender.index == sender.layer
    ]


def through(family: str, bases: list[Hooks]) -> Estimates:
    """The same times the mean gradient behind each receiver over some runs."""
    hand, estimates = by_hand(family), {}
    for receiver in SOME:
        row = hand.graph.row(receiver)
        own = {edge: value for edge, value in lost(family).items() if edge[0] == row}
        if not receiver.is_logits:
            slope = torch.stack([hand.behind(receiver, base) for base in bases]).mean(0)
            own = {edge: (slope * value).sum((1, 2)) for edge, value in own.items()}
        estimates |= own
    return estimates


def assert_are(scores: torch.Tensor, expected: Estimates) -> None:
    fast = torch.stack([scores[edge] for edge in expected])
    slow = torch.stack([value.detach() for value in expected.values()])
    size = float(slow.abs().max())
    torch.testing.assert_close(fast, slow, rtol=2e-3, atol=2e-4 * size)


@pytest.mark.parametrize("family", FAMILIES)
def test_swept_is_each_receiver_alone_times_the_mean_gradient_behind_it(family: str) -> None:
    hand = by_hand(family)
    expected = through(family, [hand.embedded(0.0), hand.embedded(0.5)])
    assert_are(found(family, "swept", n_steps=2), expected)


def test_a_single_step_is_the_clean_gradient() -> None:
    expected = through("llama", [by_hand("llama").embedded(1.0)])
    assert_are(found("llama", "swept", n_steps=1), expected)


def test_edges_into_the_logits_are_exact(llama) -> None:
    senders = runs_of("llama").graph.senders
    edges = tuple(Connection(sender, Receiver.logits()) for sender in senders)
    exact = edge_scores(llama, PAIRS, "exact", prob_diff, edges=edges).values[-1]
    swept = found("llama", "swept", n_steps=2)[-1]
    torch.testing.assert_close(swept, exact, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt-neox", "attention-only"])
def test_atp_star_is_the_mean_size_over_dropped_layers(family: str) -> None:
    """By the definition: estimates for every layer that is dropped, those of 0 among them."""
    hand, expected = by_hand(family), {}
    bases = [hand.embedded(1.0), *(hand.dropped(layer) for layer in range(3))]
    hand.look(bases[0])
    for receiver in SOME:
        row = hand.graph.row(receiver)
        fixed = receiver.input in ("q", "k")
        slopes = [(hand.behind if fixed else hand.slope)(receiver, base) for base in bases]
        for sender in senders_of(hand, receiver):
            column = hand.graph.column(sender)
            if fixed:
                estimates = [(slope * lost(family)[row, column]).sum((1, 2)) for slope in slopes]
            else:
                estimates = [hand.along(sender, slope) for slope in slopes]
            plain, *dropped = estimates
            size = torch.stack(dropped).abs().sum(0) / (3 if receiver.is_logits else 2)
            expected[row, column] = torch.where(plain < 0, -size, size)
    assert_are(found(family, "atp-star"), expected)


def test_a_model_of_one_layer_has_nothing_to_drop() -> None:
    runs = MaskedRuns(Activations(deeper_model(1), PAIRS, prob_diff))
    star, swept, eap = (
        EDGE_SCORERS.get(name).score(runs, EdgeScoreSettings(**settings)).values
        for name, settings in (("atp-star", {}), ("swept", {"n_steps": 1}), ("eap", {}))
    )
    expected = torch.where(torch.arange(len(star))[:, None, None] < 8, swept, eap)
    torch.testing.assert_close(star, expected, rtol=1e-4, atol=1e-7, equal_nan=True)


def test_how_many_senders_pass_together_changes_nothing() -> None:
    outputs = NodeOutputs.of(runs_of("gemma3").activations.batches[0].paired)
    run = WeightedEdges(outputs, runs_of("gemma3").every_edge).upward
    (reader,) = (one for one in run.readers if isinstance(one, Heads) and one.layer == 2)
    slopes = torch.randn(2, 4, len(outputs.tokens), 32)
    one, many = (
        ExactReceivers(run, max_rows).of_heads(reader, ("k", "v"), slopes, outputs.by_span[0])
        for max_rows in (1, 10_000)
    )
    torch.testing.assert_close(one, many, rtol=1e-4, atol=1e-5)
    assert one.shape == (2, 2, 4, reader.n_below, 2)
