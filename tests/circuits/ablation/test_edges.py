"""Corrupting every path outside a circuit, against hooks and against resample ablation."""

from __future__ import annotations

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.ablation import CorruptedOutputs, ablated_metric, edge_ablated_metric
from circuits.ablation.edges import senders_of
from circuits.components import Edge, Head, Receiver, all_heads
from circuits.forward import LayeredModel
from circuits.forward.passes import at_end
from circuits.graph import ModelGraph
from circuits.metrics import logit_diff, prob_diff
from tests.circuits.ablation.slow_twin import all_edges, edge_metric_by_hand
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES, N_HEADS, N_LAYERS, tiny_model
from tests.circuits.progress import written_down
from tests.circuits.prompts import ragged_pairs

EVERYTHING = all_heads(N_LAYERS, N_HEADS)
EVERY_EDGE = all_edges(EVERYTHING)
LOGITS = Receiver.logits()


def some_edges(share: float, seed: int = 0) -> frozenset[Edge]:
    random = Random(seed)
    return frozenset(edge for edge in sorted(EVERY_EDGE) if random.random() < share)


@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("family", FAMILIES)
def test_equals_hooks_on_the_bridge(family: str, share: float) -> None:
    bridge, pairs, edges = shared_model(family), ragged_pairs(2), some_edges(share)
    found = edge_ablated_metric(LayeredModel.of(bridge), pairs, edges, logit_diff)
    expected = edge_metric_by_hand(bridge, pairs, edges, logit_diff)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_with_every_edge_it_is_the_model_itself(bridge, layered, pairs) -> None:
    found = edge_ablated_metric(layered, pairs, EVERY_EDGE, prob_diff)
    with torch.no_grad():
        own = prob_diff(at_end(bridge(pairs.clean), pairs), pairs)
    torch.testing.assert_close(found, own, rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(FAMILIES), st.frozensets(st.sampled_from(EVERYTHING)))
def test_with_every_edge_among_some_heads_the_others_are_resampled(family, heads) -> None:
    """Another engine's numbers; with no head at all, nothing but the embedding is clean."""
    model, pairs = LayeredModel.of(shared_model(family)), ragged_pairs(4)
    found = edge_ablated_metric(model, pairs, all_edges(heads), logit_diff)
    outputs = CorruptedOutputs.of(model, pairs)
    expected = ablated_metric(model, pairs, outputs, [heads], logit_diff)[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_it_is_stricter_than_keeping_the_heads(llama, pairs) -> None:
    """An edge taken away changes the metric though its ends stay."""
    model = LayeredModel.of(llama)
    heads = {Head(0, 1), Head(1, 2), Head(2, 0)}
    edges = all_edges(heads)
    whole = edge_ablated_metric(model, pairs, edges, logit_diff)
    for edge in sorted(edges):
        left = edge_ablated_metric(model, pairs, edges - {edge}, logit_diff)
        assert (left - whole).abs().max() > 1e-4, edge


@pytest.mark.parametrize("together", [1, 2, 32])
def test_batches_and_progress(llama, pairs, together: int, monkeypatch) -> None:
    model, edges = LayeredModel.of(llama), some_edges(0.3)
    expected = edge_ablated_metric(model, pairs, edges, logit_diff)
    monkeypatch.setattr("circuits.ablation.edges._PROMPTS_TOGETHER", together)
    progress, heard = written_down()
    found = edge_ablated_metric(model, pairs, edges, logit_diff, progress)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert heard == sorted(heard)
    assert len(set(heard)) == N_LAYERS * -(-len(pairs) // together)
    assert heard[-1] == 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_any_dtype(pairs, dtype: torch.dtype) -> None:
    model, single = (LayeredModel.of(tiny_model("llama").to(d)) for d in (dtype, torch.float32))
    found, expected = (
        edge_ablated_metric(m, pairs, some_edges(0.3), logit_diff) for m in (model, single)
    )
    coarse = 1e-4 if dtype == torch.float64 else 0.1 * float(expected.abs().max())
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=coarse)


class TestGroupedQueries:
    """Heads 0 and 1 share a key/value head, and 2 and 3 do."""

    low, high, twin = Head(0, 0), Head(2, 0), Head(2, 1)

    def test_an_edge_into_a_key_is_one_into_that_of_the_whole_group(self, llama, pairs) -> None:
        model = LayeredModel.of(llama)
        logits = {Edge(head, LOGITS, -1.0) for head in (self.high, self.twin)}
        for name in ("k", "v"):
            one, other, both = (
                edge_ablated_metric(
                    model,
                    pairs,
                    logits | {Edge(self.low, Receiver(head, name), -1.0) for head in heads},
                    logit_diff,
                )
                for heads in ([self.high], [self.twin], [self.high, self.twin])
            )
            assert torch.equal(one, other) and torch.equal(one, both)
            none = edge_ablated_metric(model, pairs, logits, logit_diff)
            assert (one - none).abs().max() > 1e-4

    def test_queries_are_each_heads_own(self, llama, pairs) -> None:
        model = LayeredModel.of(llama)
        logits = {Edge(head, LOGITS, -1.0) for head in (self.high, self.twin)}
        one, other = (
            edge_ablated_metric(
                model, pairs, logits | {Edge(self.low, Receiver(head, "q"), -1.0)}, logit_diff
            )
            for head in (self.high, self.twin)
        )
        assert (one - other).abs().max() > 1e-4

    def test_readers(self) -> None:
        edges = {
            Edge(self.low, Receiver(self.high, "k"), 0.1),
            Edge(Head(1, 3), Receiver(self.twin, "k"), 0.1),
            Edge(self.low, Receiver(self.twin, "q"), 0.1),
            Edge(self.twin, LOGITS, 0.1),
        }
        read = senders_of(edges, ModelGraph(N_LAYERS, N_HEADS, 2))
        assert read[LOGITS] == {self.twin}
        assert read[Receiver(self.high, "k")] == {self.low, Head(1, 3)}
        assert read[Receiver(self.twin, "q")] == {self.low}
        assert read[Receiver(self.high, "v")] == frozenset()
        # Nothing reads 2.0, so what its query reads does not matter.
        assert Receiver(self.high, "q") not in read
