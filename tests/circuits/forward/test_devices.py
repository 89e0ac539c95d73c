"""A model whose layers are on two devices gives what it gives on one."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from circuits.circuit import Circuit
from circuits.components import Edge, Receiver
from circuits.evaluation import Evaluator
from circuits.forward import Activations, LayeredModel, check_reproduces
from circuits.patching import effect_table, path_effects
from circuits.roles import read_answers
from circuits.scores import attribution_scores, head_scores, input_gradient_scores, mask_scores
from tests.circuits.families import FAMILIES, tiny_model
from tests.circuits.forward.second_device import SECOND, OnSecond, SecondDevice, spread
from tests.circuits.prompts import ragged_pairs

FIRST = 1
"""The first layer on the second device."""


@pytest.fixture(params=FAMILIES)
def models(request):
    """The same model on one device and on two."""
    one, two = tiny_model(request.param), tiny_model(request.param)
    with SecondDevice():
        spread(two, FIRST)
        yield LayeredModel.of(one), LayeredModel.of(two)


@pytest.fixture
def llamas():
    one, two = tiny_model("llama"), tiny_model("llama")
    with SecondDevice():
        spread(two, FIRST)
        yield LayeredModel.of(one), LayeredModel.of(two)


def same(found, expected) -> None:
    assert not isinstance(found, OnSecond)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True)


def test_the_pieces_reproduce_it(models) -> None:
    for model in models:
        assert check_reproduces(model.bridge) < 1e-3
    assert [len(model.devices) for model in models] == [1, 2]


def test_activations_stay_with_their_layer(models) -> None:
    pairs = ragged_pairs()
    one, two = (Activations(model, pairs) for model in models)
    same(two.clean_metric, one.clean_metric)
    (batch,) = two.batches
    for index, layer in enumerate(batch.paired.clean):
        device = SECOND if index >= FIRST else torch.device("cpu")
        assert {tensor.device for tensor in vars(layer).values()} == {device}
        assert batch.gradients[index].device == device


def test_effects(models) -> None:
    pairs = ragged_pairs()
    one, two = (effect_table(model, pairs) for model in models)
    same(two.values, one.values)
    for receiver in (Receiver.logits(), Receiver.parse("1.0.q"), Receiver.parse("2.1.v")):
        one, two = (path_effects(model, pairs, receiver, engine="exact") for model in models)
        same(two, one)


@pytest.mark.parametrize("ablation", ["mean", "resample", "zero"])
def test_circuits(llamas, ablation) -> None:
    pairs = ragged_pairs()
    one, two = (Evaluator(model, pairs) for model in llamas)
    circuits = [frozenset(some) for some in combinations(sorted(one.everything), 3)][::20]
    same(two.metrics(circuits, ablation), one.metrics(circuits, ablation))


def test_edges(llamas) -> None:
    pairs, graph = ragged_pairs(), llamas[0].graph()
    heads = graph.heads
    edges = [Edge(heads[0], Receiver.parse("1.0.q"), -0.5), Edge(heads[4], Receiver.logits(), -0.5)]
    sizes = graph.n_layers, graph.n_heads
    circuit = Circuit(frozenset({heads[0], heads[4]}), frozenset(edges), *sizes)
    one, two = (Evaluator(model, pairs).edge_metrics(circuit) for model in llamas)
    same(two, one)


def test_scores(llamas) -> None:
    pairs = ragged_pairs()
    one, two = (Activations(model, pairs) for model in llamas)
    same(attribution_scores(two), attribution_scores(one))
    same(input_gradient_scores(two), input_gradient_scores(one))
    same(mask_scores(two).per_prompt, mask_scores(one).per_prompt)
    for contrast in (None, "published", "paired"):
        one, two = (head_scores(model, pairs, "WIFN", contrast) for model in llamas)
        same(two, one)


def test_roles(llamas) -> None:
    pairs = ragged_pairs()
    one, two = (read_answers(model, pairs) for model in llamas)
    same(two[1].heads, one[1].heads)
    same(two[0].correct, one[0].correct)


def test_tensors_of_two_devices_do_not_meet() -> None:
    with SecondDevice():
        there = torch.ones(2, device=SECOND)
        assert there.to("cpu").tolist() == [1.0, 1.0]
        with pytest.raises(RuntimeError, match="tensors of two devices"):
            there + torch.ones(2)
        with pytest.raises(RuntimeError, match="indexed by one of the second device"):
            torch.ones(2)[torch.zeros(1, dtype=torch.long, device=SECOND)]
