"""Runs of all prompts with weighted edges: those of each alone, however they are split."""

from __future__ import annotations

import pytest
import torch

from circuits.errors import MismatchError
from circuits.forward import Activations
from circuits.masking import MaskedRuns, NodeOutputs, WeightedEdges
from circuits.masking.upward import Upward
from circuits.metrics import prob_diff
from tests.circuits.conftest import shared_model
from tests.circuits.prompts import ragged_pairs

PAIRS = ragged_pairs(5)


def runs_on(pairs=PAIRS, memory_bytes=None) -> MaskedRuns:
    return MaskedRuns(Activations(shared_model("llama"), pairs, prob_diff), memory_bytes)


def weights_of(runs: MaskedRuns, n: int = 3) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    return runs.every_edge * torch.rand((n, *runs.every_edge.shape), generator=draw)


def test_each_prompt_is_in_its_place() -> None:
    runs = runs_on()
    weights = weights_of(runs)
    found, slopes = runs.metrics(weights), runs.slopes(weights[0]).gradients
    for row in range(len(PAIRS)):
        alone = Activations(runs.activations.model, PAIRS[row : row + 1], prob_diff)
        outputs = NodeOutputs.of(alone.batches[0].paired)
        run = WeightedEdges(outputs, weights)
        torch.testing.assert_close(found[:, row : row + 1], run.metric, rtol=1e-4, atol=1e-6)
        expected = WeightedEdges(outputs, weights[0]).gradients[0]
        torch.testing.assert_close(slopes[..., row], expected, rtol=1e-3, atol=1e-6)


def test_little_memory_changes_nothing_but_how_much_is_done_at_once() -> None:
    plenty, little = runs_on(), runs_on(memory_bytes=20_000)
    assert plenty._together == len(PAIRS) or plenty._together > 1
    assert little._together == 1
    weights = weights_of(plenty)
    torch.testing.assert_close(
        little.metrics(weights), plenty.metrics(weights), rtol=1e-4, atol=1e-6
    )
    for along in ("present", "clean"):
        settings = {"embedded": 0.5, "along": along}
        torch.testing.assert_close(
            little.slopes(weights[0], **settings).gradients,
            plenty.slopes(weights[0], **settings).gradients,
            rtol=1e-3,
            atol=1e-6,
        )
    assert not little._kept
    assert plenty._kept


def test_what_senders_give_is_computed_once(monkeypatch) -> None:
    runs, made = runs_on(), []
    real = NodeOutputs.of
    monkeypatch.setattr(NodeOutputs, "of", lambda paired: made.append(1) or real(paired))
    for _ in range(3):
        runs.metrics(weights_of(runs))
    assert len(made) == 1


def test_the_whole_and_nothing_are_the_two_prompts() -> None:
    runs = runs_on()
    found = runs.metrics(torch.stack([runs.every_edge, 0 * runs.every_edge]))
    ends = runs.activations.clean_metric, runs.activations.corrupted_metric
    torch.testing.assert_close(found, torch.stack(ends), rtol=1e-4, atol=1e-6)


def test_other_weights_are_refused() -> None:
    with pytest.raises(MismatchError, match="weights of a model"):
        runs_on().metrics(torch.ones(1, 3, 3))


def test_divergences_are_those_of_the_distributions() -> None:
    runs = runs_on()
    bridge = runs.activations.model.bridge
    with torch.no_grad():
        ends = [
            bridge(tokens)[torch.arange(len(PAIRS)), PAIRS.end].double().softmax(-1)
            for tokens in (PAIRS.clean, PAIRS.corrupted)
        ]
    expected = (ends[0] * (ends[0] / ends[1]).log()).sum(-1).float()
    found = runs.divergences(torch.stack([0 * runs.every_edge, runs.every_edge]))
    torch.testing.assert_close(found, torch.stack([expected, 0 * expected]), rtol=1e-4, atol=1e-6)
    assert expected.min() > 0.01


def test_a_run_that_others_are_like_is_run_once(monkeypatch) -> None:
    runs, ran, real = runs_on(), [], Upward.read
    like = weights_of(runs, 1)[0]
    monkeypatch.setattr(Upward, "read", lambda run, *of: ran.append(run) or real(run, *of))
    few = like.repeat(2, 1, 1)
    few[0, -1, 3], few[1, -1, 5] = 0.0, 0.0
    first = runs.metrics(few, like=like)
    n_first = len(ran)
    assert runs.metrics(few, like=like).equal(first)
    # Nothing but the logits.
    assert len(ran) == n_first + 1
    other = 0.5 * like
    torch.testing.assert_close(
        runs.metrics(other[None], like=other), runs.metrics(other[None]), rtol=1e-4, atol=1e-6
    )
