"""Engines of direct edges against their definition, and each other, on every family."""

from __future__ import annotations

import pytest
import torch

from circuits.components import MLP, Embedding, Head, Node, Receiver
from circuits.errors import MismatchError, SettingError, UnknownNameError
from circuits.forward import LayeredModel
from circuits.forward.passes import at_end
from circuits.graph import ModelGraph
from circuits.metrics import logit_diff, prob_diff
from circuits.patching import (
    DIRECT_ESTIMATORS,
    ReceiverEstimator,
    direct_effects,
    effect_table,
    estimators_of,
)
from circuits.patching.reference import record
from tests.circuits.conftest import shared_model
from tests.circuits.edge_scores.slow_twin import ByHand
from tests.circuits.families import FAMILIES
from tests.circuits.masking.slow_twin import OnePrompt
from tests.circuits.prompts import ragged_pairs

NAMES = ("logits", "m1", "1.0.q", "1.3.k", "2.2.v")
RECEIVERS = tuple(map(Receiver.parse, NAMES))
OF_EACH_KIND = (Embedding(), Head(0, 2), MLP(0), Head(1, 1))
SOME = (Head(0, 1), Head(1, 0), Head(1, 3), Head(2, 2))


def graph_of(family: str) -> ModelGraph:
    return LayeredModel.of(shared_model(family)).graph("nodes")


def assert_same(measured: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(measured, expected, rtol=1e-3, atol=5e-5, equal_nan=True)


def scale_of(family: str, pairs, metric) -> float:
    """The clean metric less the corrupted one, summed over prompts."""
    both = pairs.clean, pairs.corrupted
    with torch.no_grad():
        logits = (record(shared_model(family), one, [])[0] for one in both)
        clean, corrupted = (metric(at_end(one, pairs), pairs) for one in logits)
        return float((clean - corrupted).sum())


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt-neox", "attention-only"])
def test_the_reference_is_a_run_put_together_by_hand_with_one_edge_corrupted(family: str) -> None:
    """One prompt, every node by itself, on a stream that is put together for each receiver."""
    bridge, pairs, graph = shared_model(family), ragged_pairs()[1:2], graph_of(family)
    every = torch.zeros(len(graph.receivers), len(graph.senders))
    for row, receiver in enumerate(graph.receivers):
        every[row, graph.below(receiver)] = 1
    hand = OnePrompt(bridge, pairs, graph, every)
    clean = hand.metric(logit_diff)
    corrupted = hand.with_weights(0 * every).metric(logit_diff)
    for name, sender in (
        ("m1", Embedding()),
        ("1.3.k", Head(0, 2)),
        ("2.1.v", MLP(0)),
    ):
        receiver, without = Receiver.parse(name), every.clone()
        without[graph.row(receiver), graph.column(sender)] = 0
        expected = (hand.with_weights(without).metric(logit_diff) - clean) / (clean - corrupted)
        found = direct_effects(bridge, pairs, receiver, [sender], "reference")
        assert int((~found.isnan()).sum()) == 1
        assert_same(found[[graph.column(sender)]], expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_exact_is_the_reference(family: str) -> None:
    bridge, pairs, graph, largest = shared_model(family), ragged_pairs(2), graph_of(family), 0.0
    for receiver in RECEIVERS:
        senders = [one for one in OF_EACH_KIND if graph.reads(receiver, one)]
        expected = direct_effects(bridge, pairs, receiver, senders, "reference")
        assert len(expected) == len(graph.senders_below(receiver))
        assert int((~expected.isnan()).sum()) == len(senders)
        assert_same(direct_effects(bridge, pairs, receiver, iter(senders)), expected)
        largest = max(largest, float(expected.nan_to_num().abs().max()))
    assert largest > 1e-2, "nothing to compare"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sweep_is_the_receiver_exactly_and_the_gradient_behind_it(family: str) -> None:
    pairs, graph = ragged_pairs(2), graph_of(family)
    hand = ByHand(shared_model(family), pairs, graph, prob_diff)
    clean, scale = hand.embedded(1.0), scale_of(family, pairs, prob_diff)
    found = effect_table(shared_model(family), pairs, metric=prob_diff, mlps="nodes")
    assert found.n_known == graph.n_edges
    for receiver in map(Receiver.parse, ("1.2.q", "2.3.k", "1.1.v", "m1", "logits")):
        for sender in OF_EACH_KIND[:3]:
            lost = hand.lost(receiver, sender)
            if not receiver.is_logits:
                lost = (hand.behind(receiver, clean) * lost).sum((1, 2))
            expected = -float(lost.detach().sum()) / scale
            assert found.of(sender, receiver) == pytest.approx(expected, rel=5e-3, abs=5e-4)


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt-neox"])
def test_query_heads_have_keys_and_values_of_their_own(family: str) -> None:
    """Of grouped queries, too: a key is corrupted for the one head that reads it here."""
    first, second = (
        float(direct_effects(shared_model(family), ragged_pairs(), receiver, [Embedding()])[0])
        for receiver in map(Receiver.parse, ("1.0.v", "1.1.v"))
    )
    assert first != second


@pytest.mark.parametrize("engine", ["exact", "sweep"])
def test_all_edges_among_some_heads_are_those_of_each_receiver(llama, pairs, engine: str) -> None:
    """MLPs and the embedding are always among them."""
    found = effect_table(llama, pairs, SOME, engine=engine, mlps="nodes")
    graph = found.graph
    among: tuple[Node, ...] = graph.with_others(SOME)
    assert sum(not isinstance(node, Head) for node in among) == 4
    whole = effect_table(llama, pairs, engine=engine, mlps="nodes")
    expected = whole.among(among)
    assert found.n_known == expected.n_known < whole.n_known
    assert_same(found.values, expected.values)


@pytest.mark.parametrize("engine", ["exact", "sweep"])
def test_memory_changes_no_number(llama, pairs, engine: str) -> None:
    whole = effect_table(llama, pairs, engine=engine, mlps="nodes")
    split = effect_table(llama, pairs, engine=engine, mlps="nodes", memory_bytes=100_000)
    assert_same(split.values, whole.values)


def test_the_logits_are_exact_whatever_the_engine(llama, pairs) -> None:
    logits = Receiver.logits()
    expected = direct_effects(llama, pairs, logits)
    for engine in ("exact", "sweep"):
        found = effect_table(llama, pairs, engine=engine, mlps="nodes").into(logits)
        assert_same(found, expected)


def test_engines_by_name() -> None:
    assert estimators_of("nodes") is DIRECT_ESTIMATORS
    by_receiver = [isinstance(one, ReceiverEstimator) for one in DIRECT_ESTIMATORS.all()]
    assert by_receiver == [True, True, False]
    assert [one.is_exact for one in DIRECT_ESTIMATORS.all()] == [True, True, False]


def test_what_is_no_edge_is_refused(llama, pairs) -> None:
    with pytest.raises(MismatchError, match=r"0\.1\.q does not read m1, which writes later"):
        direct_effects(llama, pairs, Receiver.parse("0.1.q"), [MLP(1)])
    with pytest.raises(SettingError, match="no single receiver; those that do: reference, exact"):
        direct_effects(llama, pairs, Receiver.logits(), engine="sweep")
    with pytest.raises(UnknownNameError, match="did you mean 'exact'"):
        direct_effects(llama, pairs, Receiver.logits(), engine="exakt")
