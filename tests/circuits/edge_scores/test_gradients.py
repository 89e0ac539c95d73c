"""First-order scores of edges against hooks and autograd on the bridge."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch

from circuits.components import MLP, Embedding, Head, Node
from circuits.edge_scores import EDGE_SCORERS, EdgeScoreSettings, edge_scores, node_scores
from circuits.edge_scores.gradients import Point, mean_gradients
from circuits.forward import Activations
from circuits.masking import MaskedRuns
from circuits.metrics import prob_diff
from tests.circuits.conftest import shared_model
from tests.circuits.edge_scores.slow_twin import ByHand
from tests.circuits.families import FAMILIES
from tests.circuits.prompts import ragged_pairs

PAIRS = ragged_pairs(3)


@lru_cache
def by_hand(family: str) -> ByHand:
    bridge = shared_model(family)
    return ByHand(bridge, PAIRS, runs_of(family).graph, prob_diff)


@lru_cache
def runs_of(family: str) -> MaskedRuns:
    return MaskedRuns(Activations(shared_model(family), PAIRS, prob_diff))


@lru_cache
def at_embedded(family: str, share: float) -> torch.Tensor:
    return by_hand(family).scores(by_hand(family).embedded(share)).detach()


def found(family: str, name: str, **settings) -> torch.Tensor:
    return EDGE_SCORERS.get(name).score(runs_of(family), EdgeScoreSettings(**settings)).values


def assert_are(scores: torch.Tensor, expected: torch.Tensor, family: str) -> None:
    expected = expected.masked_fill(~runs_of(family).every_edge.bool()[..., None], torch.nan)
    size = float(expected.nan_to_num().abs().max())
    torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-4 * size, equal_nan=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_eap_is_the_clean_gradient_at_each_receiver(family: str) -> None:
    assert_are(found(family, "eap"), at_embedded(family, 1.0), family)


@pytest.mark.parametrize("family", FAMILIES)
def test_clean_corrupted_is_the_mean_of_both_ends(family: str) -> None:
    expected = (at_embedded(family, 1.0) + at_embedded(family, 0.0)) / 2
    assert_are(found(family, "clean-corrupted"), expected, family)


@pytest.mark.parametrize("family", FAMILIES)
def test_eap_ig_starts_at_the_corrupted_end_and_never_reaches_the_clean_one(family: str) -> None:
    expected = (at_embedded(family, 0.0) + at_embedded(family, 0.5)) / 2
    assert_are(found(family, "eap-ig", n_steps=2), expected, family)


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt-neox"])
def test_no_gradient_passes_what_is_interpolated(family: str) -> None:
    hand, runs = by_hand(family), runs_of(family)
    heads = tuple(Head(1, index) for index in range(4))
    for site, base in ((heads, hand.heads_at(1, 0.3)), ((MLP(1),), hand.mlp_at(1, 0.3))):
        expected = hand.scores(base).detach()
        assert_are(edges_only(runs, mean_gradients(runs, [at(runs, site, 0.3)])), expected, family)


def at(runs: MaskedRuns, site: tuple[Node, ...], share: float) -> Point:
    senders = torch.ones(len(runs.graph.senders))
    senders[[runs.graph.column(node) for node in site]] = share
    return Point(senders=senders, constant=site)


def edges_only(runs: MaskedRuns, scores: torch.Tensor) -> torch.Tensor:
    return scores.masked_fill(~runs.every_edge.bool()[..., None], torch.nan)


@pytest.mark.parametrize("family", ["llama", "attention-only"])
def test_activations_are_interpolated_one_layer_at_a_time(family: str) -> None:
    """The embedding, the heads of each layer together, and each MLP that there is."""
    runs = runs_of(family)
    sites: list[tuple[Node, ...]] = [(Embedding(),)]
    for layer in range(3):
        sites.append(tuple(Head(layer, index) for index in range(4)))
        sites += [] if family == "attention-only" else [(MLP(layer),)]
    points = [at(runs, site, share) for site in sites for share in (0.5, 1.0)]
    expected = mean_gradients(runs, points)
    assert_are(found(family, "eap-ig-activations", n_steps=2), expected, family)


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_an_edge_has_the_score_of_the_node_that_it_leaves(family: str) -> None:
    """The points of EAP-IG's scores of nodes end with the clean run."""
    clean, half = at_embedded(family, 1.0), at_embedded(family, 0.5)
    for name, settings, edges in (
        ("nap", {}, clean),
        ("nap-ig", {"n_steps": 2}, (clean + half) / 2),
    ):
        expected = edges.sum(0, keepdim=True).expand(edges.shape)
        assert_are(found(family, name, **settings), expected, family)


def test_the_score_of_a_node_is_that_of_its_edges(llama) -> None:
    scores = edge_scores(llama, PAIRS, "eap", prob_diff)
    of_nodes = node_scores(scores)
    nap = edge_scores(llama, PAIRS, "nap", prob_diff).values[-1]
    torch.testing.assert_close(of_nodes, nap, rtol=1e-4, atol=1e-7)
    assert of_nodes.shape == (16, 3)


def test_five_steps_unless_said(llama) -> None:
    usual = edge_scores(llama, PAIRS, "eap-ig", prob_diff).values
    five, two = (edge_scores(llama, PAIRS, "eap-ig", prob_diff, n_steps=n).values for n in (5, 2))
    assert usual.equal(five) or usual.nan_to_num().equal(five.nan_to_num())
    assert not usual.nan_to_num().allclose(two.nan_to_num())
