"""A model that is all on another device than its prompts: the same circuit is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from circuits import Head, discover_circuit
from circuits.ablation import MeanOutputs, ablated_metric, weighted_gradients
from circuits.forward import Activations, LayeredModel
from circuits.masking import MaskedRuns
from circuits.metrics import logit_diff
from circuits.model.tokenizers import remember_tokenizer
from circuits.patching import ESTIMATORS, EdgeSums
from circuits.tasks import PromptPairs
from tests.circuits.families import deeper_model, tiny_model
from tests.circuits.forward.second_device import SECOND, SecondDevice, move
from tests.circuits.prompts import ToyTask, ragged_pairs, word_tokenizer


def test_the_same_circuit(toy) -> None:
    bridge, task = toy
    sizes: Any = {"n_prompts": 2, "n_mean_prompts": 10, "n_validation_prompts": 4}
    expected = discover_circuit(bridge, task, n_held_out_prompts=4, **sizes)
    moved: Any = tiny_model("gemma3")
    remember_tokenizer(moved, word_tokenizer())
    with SecondDevice():
        move(moved.original_model)
        assert next(moved.parameters()).device == SECOND
        found = discover_circuit(moved, ToyTask(moved), n_held_out_prompts=4, **sizes)
    assert found.circuit.heads == expected.circuit.heads
    assert found.performance == pytest.approx(expected.performance, rel=1e-4)


def ablated(model: LayeredModel, pairs: PromptPairs) -> None:
    means = MeanOutputs.of(model, pairs)
    mixed = [frozenset(Head(layer, layer % 4) for layer in range(n)) for n in range(model.n_layers)]
    ablated_metric(model, pairs, means, mixed, logit_diff)


def weighted(model: LayeredModel, pairs: PromptPairs) -> None:
    means = MeanOutputs.of(model, pairs)
    everything = torch.ones(model.n_layers, model.n_heads, dtype=torch.bool)
    weighted_gradients(model, pairs, means, everything, 0.5, logit_diff)


def swept(model: LayeredModel, pairs: PromptPairs) -> None:
    """What it finds is fetched behind the last layer."""
    activations = Activations(model, pairs, logit_diff)
    graph, (batch,) = activations.graph(), activations.batches
    sums = EdgeSums(graph, len(pairs), len(pairs))
    ESTIMATORS.get("sweep").add(batch, graph.heads, sums, 10_000)


def masked(model: LayeredModel, pairs: PromptPairs) -> None:
    runs = MaskedRuns(Activations(model, pairs, logit_diff))
    runs.slopes(runs.every_edge / 2)


@pytest.mark.parametrize("run", [ablated, weighted, swept, masked])
def test_no_layer_is_waited_for(run: Callable[[LayeredModel, PromptPairs], None]) -> None:
    waits = []
    for n_layers in (2, 5):
        with SecondDevice() as second:
            moved: Any = deeper_model(n_layers)
            move(moved.original_model)
            model = LayeredModel.of(moved)
            run(model, ragged_pairs())  # Some things are looked at once.
            second.waits.clear()
            run(model, ragged_pairs())
            waits.append(dict(second.waits))
    assert waits[0] == waits[1]
