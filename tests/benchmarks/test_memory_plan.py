"""What is planned on paper is what a small model takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import Tensor

from benchmarks.memory_plan import PAGE, SECTION, SHAPES, Shape, markdown
from benchmarks.publish import replace_section
from circuits.forward import Activations, LayeredModel
from circuits.forward.passes import PairedActivations
from circuits.patching import ESTIMATORS, edge_sums
from circuits.patching import sweep as module
from circuits.patching.plan import plan_work
from tests.circuits.families import tiny_model
from tests.circuits.prompts import ragged_pairs


def n_bytes(*tensors: Tensor) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@pytest.fixture(scope="module")
def layered() -> LayeredModel:
    return LayeredModel.of(tiny_model("llama"))


@pytest.fixture(scope="module")
def shape(layered) -> Shape:
    config = layered.bridge.original_model.config
    return Shape(
        "tiny",
        n_layers=layered.n_layers,
        n_heads=layered.n_heads,
        n_kv_heads=layered.n_kv_heads,
        d_model=layered.d_model,
        d_head=layered.layers[0].query.weight.shape[1],
        d_mlp=config.intermediate_size,
        vocabulary=config.vocab_size,
        tied=config.tie_word_embeddings,
    )


@pytest.fixture(scope="module")
def pairs():
    """Of one length, and different from their first token on."""
    pairs = ragged_pairs()
    pairs = pairs[pairs.end == pairs.end.max()]
    corrupted = pairs.corrupted.clone()
    corrupted[:, 0] = (pairs.clean[:, 0] + 1) % 50
    return replace(pairs, corrupted=corrupted)


def test_weights(shape, layered) -> None:
    model = layered.bridge.original_model
    assert shape.weights(4) == n_bytes(*model.parameters())


def test_activations_and_gradients(shape, layered, pairs) -> None:
    (batch,) = Activations(layered, pairs).batches
    run, n_tokens = batch.paired, int(pairs.end.max()) + 1
    assert isinstance(run, PairedActivations)
    clean = [getattr(layer, name) for layer in run.clean for name in vars(layer)]
    assert n_bytes(*clean, *run.corrupted_z) == shape.activations(len(pairs), n_tokens, 4)
    assert n_bytes(*batch.gradients) == shape.gradients(len(pairs), n_tokens, 4)


def test_sums_and_states(shape, layered, pairs, monkeypatch) -> None:
    activations, heads = Activations(layered, pairs), layered.graph().heads
    plan, largest = plan_work(layered, pairs, heads), []
    advance = module.advance

    def noted(*given):
        state = advance(*given)
        largest.append(n_bytes(state.resid_pre))
        return state

    monkeypatch.setattr(module, "advance", noted)
    sums = edge_sums(activations, ESTIMATORS.get("sweep"), heads, plan)
    assert n_bytes(sums.changes.values, sums.remainders.values) == shape.sums(len(pairs))
    n_tokens = int(pairs.end.max()) + 1
    below_last = len(heads) - layered.n_heads
    one_copy = shape.d_model * n_tokens * below_last * len(pairs) * 4
    assert max(largest) == one_copy
    planned = shape.sweep(n_tokens, 4)
    assert planned >= 3 * one_copy / len(pairs)


def test_the_page_has_the_table() -> None:
    text = PAGE.read_text()
    assert replace_section(text, SECTION, markdown()) == text


def test_the_shapes_have_as_many_parameters_as_their_names_say() -> None:
    millions = {shape.name.split("M")[0].split("B")[0]: shape.n_parameters for shape in SHAPES}
    assert millions["135"] == 134_515_008
    assert millions["7"] == 6_738_415_616
    assert millions["70"] == 68_976_648_192
