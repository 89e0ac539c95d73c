"""Runs with weights on heads, against hooks on the bridge and against ablation of whole heads."""

from __future__ import annotations

import pytest
import torch

from circuits.ablation import (
    CorruptedOutputs,
    MeanOutputs,
    ZeroOutputs,
    ablated_metric,
    kept_mask,
    weighted_gradients,
)
from circuits.components import Head, all_heads
from circuits.forward import LayeredModel
from circuits.metrics import logit_diff, prob_diff
from tests.circuits.ablation.slow_twin import weighted_by_hand
from tests.circuits.families import N_HEADS, N_LAYERS

EVERYTHING = frozenset(all_heads(N_LAYERS, N_HEADS))
CIRCUITS = {
    "none": frozenset(),
    "all": EVERYTHING,
    "lowest layer": frozenset({Head(0, 1), Head(0, 2)}),
    "part of a group": frozenset({Head(0, 1), Head(1, 3), Head(1, 0), Head(2, 2)}),
}
REPLACED = {
    "corrupted": lambda model, pairs: CorruptedOutputs.of(model, pairs),
    "mean": lambda model, pairs: MeanOutputs.of(model, pairs),
    "zero": lambda model, pairs: ZeroOutputs(model),
}


@pytest.mark.parametrize("weight", [0.25, 1.0])
@pytest.mark.parametrize("replaced", REPLACED)
def test_metric_and_gradients_are_those_of_hooks(bridge, pairs, replaced, weight) -> None:
    model = LayeredModel.of(bridge)
    outputs = REPLACED[replaced](model, pairs)
    for heads in CIRCUITS.values():
        (kept,) = kept_mask([heads], N_LAYERS, N_HEADS)
        run = weighted_gradients(model, pairs, outputs, kept, weight, logit_diff)
        metric, gradients = weighted_by_hand(bridge, pairs, outputs, kept, weight, logit_diff)
        torch.testing.assert_close(run.metric, metric, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(run.gradients, gradients, rtol=1e-3, atol=1e-4)
        assert bool(gradients.any()) == bool(heads)


@pytest.mark.parametrize("heads", CIRCUITS.values(), ids=CIRCUITS)
def test_at_weight_1_it_is_the_ablation_of_the_rest(bridge, pairs, heads) -> None:
    model = LayeredModel.of(bridge)
    means = MeanOutputs.of(model, pairs)
    (kept,) = kept_mask([heads], N_LAYERS, N_HEADS)
    run = weighted_gradients(model, pairs, means, kept, 1.0, prob_diff)
    (expected,) = ablated_metric(model, pairs, means, [heads], prob_diff)
    torch.testing.assert_close(run.metric, expected, rtol=1e-4, atol=1e-5)


def test_at_weight_0_nothing_is_left_of_the_heads(llama, pairs) -> None:
    model = LayeredModel.of(llama)
    means = MeanOutputs.of(model, pairs)
    (kept,) = kept_mask([EVERYTHING], N_LAYERS, N_HEADS)
    run = weighted_gradients(model, pairs, means, kept, 0.0, logit_diff)
    (expected,) = ablated_metric(model, pairs, means, [frozenset()], logit_diff)
    torch.testing.assert_close(run.metric, expected, rtol=1e-4, atol=1e-4)


def test_no_gradient_is_left_behind(llama, pairs) -> None:
    model = LayeredModel.of(llama)
    (kept,) = kept_mask([EVERYTHING], N_LAYERS, N_HEADS)
    run = weighted_gradients(model, pairs, ZeroOutputs(model), kept, 0.5, logit_diff)
    assert not run.metric.requires_grad
    assert not run.gradients.requires_grad
    assert all(parameter.grad is None for parameter in llama.parameters())
