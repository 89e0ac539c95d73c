"""Edges with spans, against hooks on the bridge, and against edges without."""

from __future__ import annotations

import pytest
import torch

from circuits.circuit import every_edge
from circuits.components import Receiver
from circuits.forward import Activations
from circuits.graph import ModelGraph
from circuits.masking import MaskedRuns, NodeOutputs, WeightedEdges
from circuits.masking.upward import Upward
from circuits.metrics import prob_diff
from circuits.tasks import PromptPairs
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES, tiny_model
from tests.circuits.masking.slow_twin import weighted_metric_by_hand
from tests.circuits.prompts import ragged_pairs, spanned_pairs


def outputs_of(family: str, pairs: PromptPairs) -> NodeOutputs:
    activations = Activations(shared_model(family), pairs, prob_diff)
    return NodeOutputs.of(activations.batches[0].paired)


def drawn(graph: ModelGraph, seed: int = 0) -> torch.Tensor:
    """Some edges whole, some in part, some not at all."""
    draw, everything = torch.Generator().manual_seed(seed), every_edge(graph).float()
    return everything * (2 * torch.rand(everything.shape, generator=draw) - 0.5).clamp(0, 1)


def at_every_span(graph: ModelGraph, weights: torch.Tensor) -> torch.Tensor:
    """Weights of edges without spans as those of edges that have the same at each of them."""
    plain = ModelGraph(
        graph.n_layers, graph.n_heads, graph.n_kv_heads, graph.parallel_mlp, graph.mlps
    )
    return weights[[plain.row(receiver.at(None)) for receiver in graph.receivers]]


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_hooks_on_the_bridge(family: str) -> None:
    outputs = outputs_of(family, spanned_pairs(3))
    run = outputs.paired
    weights = drawn(outputs.graph)
    found = WeightedEdges(outputs, weights).metric
    expected = weighted_metric_by_hand(
        run.model.bridge, run.pairs, outputs.graph, weights, run.metric
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_at_every_span_is_an_edge_without_spans(family: str) -> None:
    plain = outputs_of(family, ragged_pairs())
    outputs = outputs_of(family, spanned_pairs())
    weights = drawn(plain.graph)
    without = WeightedEdges(plain, weights)
    found = WeightedEdges(outputs, at_every_span(outputs.graph, weights))
    torch.testing.assert_close(found.metric, without.metric, rtol=1e-4, atol=1e-6)
    summed = torch.zeros_like(without.gradients)
    rows = [plain.graph.row(receiver.at(None)) for receiver in outputs.graph.receivers]
    summed.index_add_(1, torch.tensor(rows), found.gradients)
    torch.testing.assert_close(summed, without.gradients, rtol=1e-3, atol=1e-5)


def test_one_span_is_none() -> None:
    """To the last bit but for the order of sums: nothing else is computed."""
    pairs = ragged_pairs()
    one = pairs.labelled([["end"] * (int(end) + 1) for end in pairs.end])
    plain, outputs = outputs_of("gemma3", pairs), outputs_of("gemma3", one)
    assert len(plain.graph.receivers) == len(outputs.graph.receivers)
    weights = drawn(plain.graph)
    without, found = WeightedEdges(plain, weights), WeightedEdges(outputs, weights)
    torch.testing.assert_close(found.metric, without.metric, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(found.gradients, without.gradients, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt-neox"])
def test_gradients_are_what_small_changes_do(family: str) -> None:
    activations = Activations(tiny_model(family).to(torch.float64), spanned_pairs(3))
    outputs = NodeOutputs.of(activations.batches[0].paired)
    everything, step = every_edge(outputs.graph).double(), 1e-3
    weights = 0.7 * everything
    found = WeightedEdges(outputs, weights, embedded=0.8).gradients
    draw = torch.Generator().manual_seed(0)
    for _ in range(3):
        way = torch.randn(weights.shape, generator=draw).double() * everything
        ends = [
            WeightedEdges(outputs, weights + s * way, embedded=0.8).metric for s in (step, -step)
        ]
        expected = (ends[0] - ends[1]) / (2 * step)
        torch.testing.assert_close(
            (found * way).sum((1, 2)), expected, rtol=0.01, atol=1e-2 * float(expected.abs().max())
        )


@pytest.mark.parametrize("family", ["llama", "gemma3", "attention-only"])
def test_what_a_run_is_like_is_not_run_again(family: str, monkeypatch) -> None:
    outputs = outputs_of(family, spanned_pairs())
    graph, base = outputs.graph, drawn(outputs.graph)
    others = base.repeat(3, 1, 1)
    others[0, graph.row(Receiver.parse("2.0.k@b")), 1] += 0.5
    others[1, graph.row(Receiver.parse("2.3.v@c")), 4] = 0
    others[2, graph.row(Receiver.parse("logits@end")), 2] = 0.3
    alone = WeightedEdges(outputs, others).metric
    known, read, real = WeightedEdges(outputs, base), [], Upward.read
    _ = known.metric
    monkeypatch.setattr(
        Upward, "read", lambda run, reader, sums: read.append(reader) or real(run, reader, sums)
    )
    found = WeightedEdges(outputs, others, like=known).metric
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-6)
    assert {node.layer for reader in read for node in reader.nodes} == {2}


def test_batches_of_prompts_that_lack_a_span_are_those_of_all() -> None:
    """Short prompts are run first, and have not every span."""
    pairs = ragged_pairs(6)
    labels = [["a"] * 6 + ["late"] * (int(end) - 6) + ["end"] for end in pairs.end]
    activations = Activations(shared_model("llama"), pairs.labelled(labels), prob_diff)
    weights = drawn(activations.graph("nodes"))
    whole = MaskedRuns(activations).slopes(weights)
    little = MaskedRuns(activations, memory_bytes=1).slopes(weights)
    torch.testing.assert_close(little.metric, whole.metric, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(little.gradients, whole.gradients, rtol=1e-4, atol=1e-6)
    late = [
        row for row, r in enumerate(MaskedRuns(activations).graph.receivers) if r.span == "late"
    ]
    short = pairs.end == 6
    assert short.any()
    assert not whole.gradients[late][..., short].any()
    assert whole.gradients[late][..., ~short].any()
