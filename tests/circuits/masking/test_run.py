"""Weighted edges, against hooks on the bridge, and gradients, against differences."""

from __future__ import annotations

import pytest
import torch

from circuits.components import Receiver
from circuits.errors import MismatchError
from circuits.forward import Activations
from circuits.masking import NodeOutputs, WeightedEdges
from circuits.masking.upward import Upward
from circuits.metrics import prob_diff
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES, tiny_model
from tests.circuits.masking.slow_twin import weighted_metric_by_hand
from tests.circuits.prompts import ragged_pairs


def outputs_of(family: str, n: int = 5, metric=prob_diff) -> NodeOutputs:
    activations = Activations(shared_model(family), ragged_pairs(n), metric)
    return NodeOutputs.of(activations.batches[0].paired)


def every_edge(outputs: NodeOutputs) -> torch.Tensor:
    graph = outputs.graph
    weights = torch.zeros(len(graph.receivers), len(graph.senders))
    for receiver in graph.receivers:
        weights[graph.row(receiver), graph.below(receiver)] = 1
    return weights


def drawn(outputs: NodeOutputs, seed: int = 0) -> torch.Tensor:
    """Some edges whole, some in part, some not at all."""
    draw = torch.Generator().manual_seed(seed)
    everything = every_edge(outputs)
    return everything * (2 * torch.rand(everything.shape, generator=draw) - 0.5).clamp(0, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_hooks_on_the_bridge(family: str) -> None:
    outputs = outputs_of(family, 3)
    run = outputs.paired
    for weights in (drawn(outputs), drawn(outputs, 1).round()):
        found = WeightedEdges(outputs, weights).metric
        expected = weighted_metric_by_hand(
            run.model.bridge, run.pairs, outputs.graph, weights, run.metric
        )
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_edges_are_the_clean_run_and_none_the_corrupted_one(family: str) -> None:
    outputs = outputs_of(family)
    everything = every_edge(outputs)
    run = outputs.paired
    for weights, expected in (
        (everything, run.clean_metric),
        (0 * everything, run.corrupted_metric),
    ):
        found = WeightedEdges(outputs, weights).metric
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_what_small_changes_do(family: str) -> None:
    outputs = NodeOutputs.of(
        Activations(tiny_model(family).to(torch.float64), ragged_pairs(3)).batches[0].paired
    )
    weights, step = 0.7 * every_edge(outputs).double(), 1e-3
    weights[:, 3] *= 0.5
    found = WeightedEdges(outputs, weights, embedded=0.8).gradients
    draw = torch.Generator().manual_seed(0)
    for _ in range(3):
        way = torch.randn(weights.shape, generator=draw).double() * every_edge(outputs)
        ends = [
            WeightedEdges(outputs, weights + s * way, embedded=0.8).metric for s in (step, -step)
        ]
        expected = (ends[0] - ends[1]) / (2 * step)
        torch.testing.assert_close(
            (found * way).sum((1, 2)), expected, rtol=0.01, atol=1e-2 * float(expected.abs().max())
        )


def test_gradients_add_up_along_the_way_from_corrupted_to_clean() -> None:
    """Integrated gradients are complete: their sum is what all edges do together."""
    outputs = outputs_of("llama")
    everything, n = every_edge(outputs), 40
    means = (
        sum(WeightedEdges(outputs, everything * (step + 0.5) / n).gradients for step in range(n))
        / n
    )
    run = outputs.paired
    torch.testing.assert_close(
        (means * everything).sum((1, 2)),
        run.clean_metric - run.corrupted_metric,
        rtol=0.06,
        atol=1e-4,
    )


def test_many_circuits_at_once_are_each_by_itself() -> None:
    outputs = outputs_of("qwen3")
    many = torch.stack([drawn(outputs, seed).round() for seed in range(3)])
    found = WeightedEdges(outputs, many).metric
    each = torch.stack([WeightedEdges(outputs, one).metric for one in many])
    torch.testing.assert_close(found, each, rtol=1e-4, atol=1e-5)
    assert found.shape == (3, 5)


def test_an_edge_from_what_reads_nothing_changes_nothing() -> None:
    """It gives what it gives on the corrupted prompt."""
    outputs = outputs_of("llama")
    graph, weights = outputs.graph, 0 * every_edge(outputs)
    weights[graph.row(Receiver.logits()), 5] = 1
    found = WeightedEdges(outputs, weights).metric
    torch.testing.assert_close(found, outputs.paired.corrupted_metric, rtol=1e-4, atol=1e-6)


def test_weights_of_another_graph_are_refused() -> None:
    with pytest.raises(MismatchError, match="must be 40 receivers x 16 senders, got 3 x 3"):
        WeightedEdges(outputs_of("llama"), torch.ones(3, 3))


@pytest.mark.parametrize("family", FAMILIES)
def test_one_stream_for_all_receivers_is_one_for_each(family: str, monkeypatch) -> None:
    """What reads the clean run, or the same as its neighbours, is not computed again."""
    outputs = outputs_of(family, 3)
    everything = every_edge(outputs)
    by_sender = everything * torch.linspace(0.2, 1, everything.shape[1])
    half_clean = everything.clone()
    half_clean[len(everything) // 2 :, 2] = 0.3
    given = [(everything, 1.0), (everything, 0.4), (by_sender, 1.0), (half_clean, 1.0)]

    def found() -> list:
        runs = [WeightedEdges(outputs, weights, embedded) for weights, embedded in given]
        return [part for run in runs for part in (run.changes, run.metric, run.gradients)]

    fast = found()
    rows = []

    def by_row(run: Upward, reader) -> torch.Tensor:
        rows.append(len(reader.rows))
        # A row that differs where nothing is read; 1 + epsilon is not 1.
        return run.weights[..., None, reader.rows, :] * (1 + 1e-7)

    monkeypatch.setattr(Upward, "weights_of", by_row)
    for one, other in zip(fast, found(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    assert max(rows) == 12


def test_a_clean_run_reads_nothing_again(monkeypatch) -> None:
    outputs = outputs_of("llama")
    read, real = [], Upward.read
    monkeypatch.setattr(
        Upward,
        "read",
        lambda run, reader, sums: read.append(reader) or real(run, reader, sums),
    )
    run = WeightedEdges(outputs, every_edge(outputs))
    assert run.changes.equal(outputs.change)
    assert not read
    weights = every_edge(outputs)
    weights[outputs.graph.row(Receiver.parse("m1")), 0] = 0
    WeightedEdges(outputs, weights).changes  # noqa: B018
    assert [str(node) for node in read[0].nodes] == ["m1"]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_run_is_like_is_not_run_again(family: str, monkeypatch) -> None:
    outputs = outputs_of(family)
    base = drawn(outputs)
    others = base.repeat(3, 1, 1)
    logits, last = outputs.graph.row(Receiver.logits()), Receiver.parse("2.1.v")
    others[0, logits, 2], others[1, logits] = 0.3, 0
    others[2, outputs.graph.row(last), 1] += 0.5
    alone = WeightedEdges(outputs, others).metric
    known = WeightedEdges(outputs, base)
    _ = known.metric
    read, real = [], Upward.read
    monkeypatch.setattr(
        Upward,
        "read",
        lambda run, reader, sums: read.append(reader) or real(run, reader, sums),
    )
    found = WeightedEdges(outputs, others, like=known).metric
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-6)
    assert {node.layer for reader in read for node in reader.nodes} == {2}


def test_only_what_is_read_is_held() -> None:
    outputs = outputs_of("llama")
    weights = torch.zeros_like(every_edge(outputs))
    weights[outputs.graph.row(Receiver.logits()), 5] = 1
    run = WeightedEdges(outputs, weights)
    assert run.upward_of_used.senders == (5,)
    torch.testing.assert_close(run.metric, run.upward.metric)


@pytest.mark.parametrize("row", ["0.2.q", "m0", "1.0.k", "m1", "2.3.v", "m2", "logits"])
@pytest.mark.parametrize("family", ["llama", "gpt-neox", "gemma3"])
def test_what_is_like_another_from_any_receiver_on(family: str, row: str) -> None:
    """Also where it reads what the other does not, or all where the other reads some."""
    outputs = outputs_of(family, 3)
    graph, everything = outputs.graph, every_edge(outputs)
    first = graph.row(Receiver.parse(row))
    some = drawn(outputs).round()
    some[:, 4] = 0
    fewer = some * (drawn(outputs, 1) > 0)
    for base, above in ((some, everything), (some, fewer), (everything, some)):
        weights = torch.cat([base[:first], above[first:]])
        found = WeightedEdges(outputs, weights, like=WeightedEdges(outputs, base))
        alone = WeightedEdges(outputs, weights)
        torch.testing.assert_close(found.metric, alone.metric, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.divergence, alone.divergence, rtol=1e-3, atol=1e-5)


def test_gradients_of_a_run_that_is_like_another_are_its_own() -> None:
    outputs = outputs_of("llama", 3)
    base = drawn(outputs)
    weights = base.clone()
    weights[-1, 3:] *= 0.5
    found = WeightedEdges(outputs, weights, like=WeightedEdges(outputs, base))
    assert found.metric.isfinite().all()
    torch.testing.assert_close(
        found.gradients, WeightedEdges(outputs, weights).gradients, rtol=1e-4, atol=1e-5
    )
