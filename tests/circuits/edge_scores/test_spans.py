"""Scores of edges with spans: against hooks and autograd, and against scores without spans."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch

from circuits.circuit import without_dead_ends
from circuits.components import Connection, Head, Receiver
from circuits.edge_scores import EDGE_SCORERS, EdgeScoreSettings, connected_edges, edge_scores
from circuits.forward import Activations
from circuits.masking import MaskedRuns
from circuits.metrics import prob_diff
from circuits.tasks import PromptPairs
from tests.circuits.conftest import shared_model
from tests.circuits.edge_scores.slow_twin import ByHand
from tests.circuits.families import FAMILIES
from tests.circuits.masking.slow_twin import weighted_metric_by_hand
from tests.circuits.prompts import ragged_pairs, spanned_pairs

PLAIN, PAIRS = ragged_pairs(3), spanned_pairs(3)
ONE = PLAIN.labelled([["end"] * (int(end) + 1) for end in PLAIN.end])
SUMMED = {
    "eap": {},
    "eap-ig": {"n_steps": 2},
    "clean-corrupted": {},
    "eap-ig-activations": {"n_steps": 1},
    "relp": {},
    "gim": {},
    "mask-attribution": {"n_steps": 2},
}
"""Sums over tokens, by their settings."""
OTHERS = {
    "atp-star": {},
    "swept": {"n_steps": 2},
    "nap": {},
    "nap-ig": {"n_steps": 2},
    "mattr": {"n_steps": 3},
    "edge-pruning": {"n_steps": 3},
    "random": {},
}


@lru_cache
def runs_of(family: str, kind: str) -> MaskedRuns:
    pairs = {"plain": PLAIN, "spans": PAIRS, "one": ONE}[kind]
    return MaskedRuns(Activations(shared_model(family), pairs, prob_diff))


def scores_of(family: str, kind: str, name: str, settings) -> torch.Tensor:
    scorer = EDGE_SCORERS.get(name)
    return scorer.score(runs_of(family, kind), EdgeScoreSettings(**settings)).values


def by_hand(family: str, pairs: PromptPairs = PAIRS) -> ByHand:
    return ByHand(shared_model(family), pairs, runs_of(family, "spans").graph, prob_diff)


def assert_are(scores: torch.Tensor, expected: torch.Tensor) -> None:
    size = float(expected.nan_to_num().abs().max())
    torch.testing.assert_close(scores, expected, rtol=2e-3, atol=2e-4 * size, equal_nan=True)


def test_every_score_is_looked_at() -> None:
    assert {*SUMMED, *OTHERS, "exact"} == set(EDGE_SCORERS.names())


@pytest.mark.parametrize("family", FAMILIES)
def test_eap_is_the_clean_gradient_at_the_positions_of_each_span(family: str) -> None:
    hand = by_hand(family)
    expected = hand.scores(hand.embedded(1.0)).detach()
    edges = runs_of(family, "spans").every_edge.bool()
    expected = expected.masked_fill(~edges[..., None], torch.nan)
    assert_are(scores_of(family, "spans", "eap", {}), expected)


@pytest.mark.parametrize("name", SUMMED)
@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_the_spans_of_an_edge_add_up_to_its_score(family: str, name: str) -> None:
    spans, plain = (runs_of(family, kind).graph for kind in ("spans", "plain"))
    found = scores_of(family, "spans", name, SUMMED[name])
    rows = torch.tensor([plain.row(receiver.at(None)) for receiver in spans.receivers])
    expected = scores_of(family, "plain", name, SUMMED[name])
    summed = torch.zeros_like(expected).index_add_(0, rows, found.nan_to_num())
    assert_are(summed, expected.nan_to_num())


@pytest.mark.parametrize("name", SUMMED | OTHERS)
def test_one_span_is_none(name: str) -> None:
    settings = (SUMMED | OTHERS)[name]
    one, plain = (scores_of("llama", kind, name, settings) for kind in ("one", "plain"))
    torch.testing.assert_close(one, plain, rtol=1e-4, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_swept_is_each_receiver_without_a_sender_at_a_span(family: str) -> None:
    hand = by_hand(family)
    some = map(Receiver.parse, ("1.2.q@a", "1.1.k@b", "2.3.v@a", "m1@c", "logits@end"))
    found = scores_of(family, "spans", "swept", {"n_steps": 1})
    fast, slow = [], []
    for receiver in some:
        for sender in hand.graph.senders_below(receiver)[::4]:
            fast.append(found[hand.graph.row(receiver), hand.graph.column(sender)])
            lost = hand.lost(receiver, sender).detach()
            if not receiver.is_logits:
                lost = (hand.behind(receiver, hand.embedded(1.0)) * lost).sum((1, 2))
            slow.append(lost)
    assert_are(torch.stack(fast), torch.stack(slow))


@pytest.mark.parametrize("family", FAMILIES)
def test_exact_scores_are_what_hooks_say(family: str) -> None:
    names = ("embed -> 0.2.k@a", "0.1 -> 1.3.q@c", "1.0 -> 2.1.v@b", "1.2 -> logits@end")
    edges, pairs, runs = tuple(map(Connection.parse, names)), PAIRS[:1], runs_of(family, "spans")
    bridge = shared_model(family)
    scores = edge_scores(bridge, pairs, "exact", prob_diff, edges=edges)
    assert scores.n_known == len(edges)
    for edge in edges:
        weights = runs.every_edge.clone()
        row, column = runs.graph.row(edge.receiver), runs.graph.column(edge.sender)
        weights[row, column] = 0
        without = weighted_metric_by_hand(bridge, pairs, runs.graph, weights, prob_diff)
        whole = runs.activations.clean_metric[:1]
        torch.testing.assert_close(
            scores.values[row, column], whole - without, rtol=1e-3, atol=1e-5
        )


def test_scores_of_nodes_are_those_of_a_node_at_a_span() -> None:
    graph = runs_of("llama", "spans").graph
    eap, nap = (scores_of("llama", "spans", name, {}) for name in ("eap", "nap"))
    sender, at_a = graph.column(Head(1, 2)), [r for r in graph.receivers if r.span == "a"]
    rows = [graph.row(receiver) for receiver in at_a]
    expected = eap[rows, sender].nansum(0)
    torch.testing.assert_close(nap[graph.row(Receiver.parse("2.0.q@a")), sender], expected)


def test_connected_edges_are_connected_at_their_spans(llama) -> None:
    scores = edge_scores(llama, PAIRS, "eap", prob_diff)
    few = scores.values.mean(-1).abs()
    values = few.masked_fill(few < few.nan_to_num().flatten().topk(150).values[-1], torch.nan)
    scores = type(scores)(scores.graph, values)
    chosen = connected_edges(scores, 12, "absolute")
    assert 0 < chosen.sum() <= 12
    assert without_dead_ends(scores.graph, chosen).equal(chosen)
