"""Running the layers above a change, against the whole run and against hooks."""

from __future__ import annotations

import pytest
import torch

from circuits.forward import LayeredModel, PairedActivations
from circuits.forward.gradients import metric_above, metric_gradients, read_tokens
from circuits.forward.positions import ActivePositions
from circuits.metrics import logit_diff, prob_diff
from tests.circuits.families import N_LAYERS
from tests.circuits.patching.slow_twin import metric_gradient
from tests.circuits.patching.slow_twin import run as record


@pytest.fixture(params=[logit_diff, prob_diff])
def run(layered, pairs, request) -> PairedActivations:
    return PairedActivations.of(layered, pairs, request.param)


def tokens_of(run: PairedActivations) -> ActivePositions:
    return ActivePositions.between_difference_and_end(run.pairs)


def test_a_clean_stream_gives_the_clean_metric_from_every_layer(run) -> None:
    tokens = tokens_of(run)
    with torch.no_grad():
        for layer in range(N_LAYERS):
            resid = tokens.pack(run.clean[layer].resid_pre)
            found = metric_above(run, layer, resid, tokens)
            torch.testing.assert_close(found, run.clean_metric, rtol=1e-4, atol=1e-5)


def test_a_corrupted_stream_gives_the_corrupted_metric(bridge, run) -> None:
    """Where prompts differ it is put in; everywhere else they are the same up to there."""
    tokens = tokens_of(run)
    site = "blocks.1.hook_resid_pre"
    resid = tokens.pack(record(bridge, run.pairs.corrupted, [site])[site])
    with torch.no_grad():
        found = metric_above(run, 1, torch.stack([resid, resid]), tokens)
    expected = run.corrupted_metric.expand(2, -1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_gradients_equal_those_through_hooks(bridge, run) -> None:
    tokens = tokens_of(run)
    found = metric_gradients(run, tokens)
    for layer, gradient in enumerate(found):
        name = f"blocks.{layer}.attn.hook_z"
        expected, _ = metric_gradient(bridge, run.pairs, name, run.metric)
        packed = read_tokens(run, layer, tokens).pack(expected)
        assert packed.abs().max() > 1e-5
        torch.testing.assert_close(gradient, packed, rtol=1e-3, atol=1e-5)


def test_the_last_layers_head_outputs_matter_at_the_answers_alone(llama, pairs) -> None:
    run = PairedActivations.of(LayeredModel.of(llama), pairs, logit_diff)
    tokens = tokens_of(run)
    assert read_tokens(run, N_LAYERS - 2, tokens) is tokens
    last = read_tokens(run, N_LAYERS - 1, tokens)
    assert torch.equal(last.position, run.pairs.end)
