"""Scores against the formulas, in numpy, from head outputs recorded by hooks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from circuits.errors import InputError, SettingError
from circuits.forward import Activations, LayeredModel, PairedActivations, activations
from circuits.metrics import logit_diff
from circuits.scores import HeadStatistics, Moments, head_scores
from tests.circuits.conftest import shared_model
from tests.circuits.patching.slow_twin import run as record
from tests.circuits.prompts import ragged_pairs

FAMILIES = ("gpt2", "llama", "gemma3", "attention-only")
STATISTICS = ("IFV", "WIFV", "WIFN")


def outputs(bridge, pairs, tokens) -> list[np.ndarray]:
    """For each layer [token, head, d_head] of every token up to the answer's position."""
    names = [f"blocks.{layer}.attn.hook_z" for layer in range(bridge.cfg.n_layers)]
    kept = record(bridge, tokens, names)
    return [
        np.concatenate(
            [kept[name][row, : end + 1].double().numpy() for row, end in enumerate(pairs.end)]
        )
        for name in names
    ]


def weights(bridge, layer: int) -> np.ndarray:
    """W_ij of the output projection, [d_model, head, d_head]: what column j of z adds to i."""
    linear = bridge.blocks[layer].attn.o.original_component
    weight = linear.weight.detach().double().numpy()
    if type(linear).__name__ == "Conv1D":
        weight = weight.T
    return weight.reshape(weight.shape[0], bridge.cfg.n_heads, -1)


def columns(statistic: str, z: np.ndarray, weight: np.ndarray) -> np.ndarray:
    if statistic == "IFV":
        return z.var(0)
    if statistic == "WIFV":
        return z.var(0) * (weight**2).sum(0)
    return abs(weight).mean(0) * np.sqrt((z**2).sum(0))


def standardised(per_column: np.ndarray) -> np.ndarray:
    return ((per_column - per_column.mean()) / per_column.std(ddof=1)).mean(-1)


@pytest.mark.parametrize("family", FAMILIES)
class TestFormulas:
    @pytest.mark.parametrize("statistic", STATISTICS)
    @pytest.mark.parametrize("contrast", [None, "published"])
    def test_statistics(self, family: str, statistic: str, contrast: str | None) -> None:
        bridge, pairs = shared_model(family), ragged_pairs(8)
        clean, corrupted = (outputs(bridge, pairs, t) for t in (pairs.clean, pairs.corrupted))
        expected = []
        for layer, (z, other) in enumerate(zip(clean, corrupted, strict=True)):
            per_column = columns(statistic, z, weights(bridge, layer))
            if contrast:
                per_column = abs(
                    per_column**2 - columns(statistic, other, weights(bridge, layer)) ** 2
                )
            expected.append(standardised(per_column))
        scores = head_scores(bridge, pairs, statistic, contrast)
        np.testing.assert_allclose(scores.numpy(), np.stack(expected), atol=2e-4)

    @pytest.mark.parametrize("statistic", STATISTICS)
    def test_paired(self, family: str, statistic: str) -> None:
        """Mean over prompts of the squared change of what a head writes, summed over tokens."""
        bridge, pairs = shared_model(family), ragged_pairs(8)
        clean, corrupted = (outputs(bridge, pairs, t) for t in (pairs.clean, pairs.corrupted))
        expected = []
        for layer, (z, other) in enumerate(zip(clean, corrupted, strict=True)):
            written = np.einsum("thd,ihd->thi", other - z, weights(bridge, layer))
            change = (written**2).sum((0, 2)) / len(pairs)
            expected.append((change - change.mean()) / change.std(ddof=1))
        scores = head_scores(bridge, pairs, statistic, "paired")
        np.testing.assert_allclose(scores.numpy(), np.stack(expected), atol=2e-4)


def test_the_default_is_published_wifn(llama, pairs) -> None:
    assert torch.equal(head_scores(llama, pairs), head_scores(llama, pairs, "WIFN", "published"))


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("contrast", [None, "published", "paired"])
def test_batches_add_up(llama, statistic, contrast, monkeypatch) -> None:
    model, pairs = LayeredModel.of(llama), ragged_pairs(9)
    whole = head_scores(model, pairs, statistic, contrast)
    monkeypatch.setattr(activations, "PROMPTS_TOGETHER", 4)
    parts = Activations(model, pairs, logit_diff)
    assert [len(batch.prompts) for batch in parts.batches] == [4, 4, 1]
    found = HeadStatistics.collect(parts).scores(statistic, contrast)
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-5)


def test_moments_add_up_exactly() -> None:
    """In float64, far from zero, where a running mean that is updated too early would show."""
    z = torch.randn(2, 50, 3, 4, dtype=torch.float64) + 100
    parts = [Moments.of(part) for part in z.split([1, 7, 30, 12], dim=1)]
    total = parts[0] + parts[1] + parts[2] + parts[3]
    backwards = parts[3] + (parts[2] + (parts[1] + parts[0]))
    for moments in (total, backwards):
        assert moments.count == 50
        np.testing.assert_allclose(moments.mean, z.mean(1), rtol=1e-12)
        np.testing.assert_allclose(moments.variance, z.var(1, correction=0), rtol=1e-9)
        np.testing.assert_allclose(moments.norm, (z**2).mean(1).sqrt(), rtol=1e-12)


def test_columns_are_standardised_within_a_layer(llama, pairs) -> None:
    for statistic in STATISTICS:
        scores = head_scores(llama, pairs, statistic, None)
        torch.testing.assert_close(scores.mean(1), torch.zeros(3), rtol=0, atol=1e-5)


def test_equal_columns_score_zero() -> None:
    flat = Moments(3, *(torch.ones(2, 3, 4, dtype=torch.float64) for _ in range(3)))
    weights = torch.ones(2, 3, 4, 5, dtype=torch.float64)
    statistics = HeadStatistics(flat, flat, torch.ones(2, 3, dtype=torch.float64), weights)
    for contrast in (None, "published", "paired"):
        assert (statistics.scores("WIFN", contrast) == 0).all()


def test_many_prompts_are_run_in_batches(llama, monkeypatch) -> None:
    """Memory must not grow with the number of prompts."""
    sizes = []
    of = PairedActivations.of.__func__

    def counted(cls, model, pairs, metric):
        sizes.append(len(pairs))
        return of(cls, model, pairs, metric)

    monkeypatch.setattr(PairedActivations, "of", classmethod(counted))
    head_scores(llama, ragged_pairs(200))
    assert sum(sizes) == 200
    assert max(sizes) <= 100


def test_errors(llama, pairs, without_type_checks) -> None:
    with pytest.raises(SettingError, match="unknown statistic 'L2'; known statistics: "):
        head_scores(llama, pairs, "L2")
    with pytest.raises(SettingError, match="unknown contrast 'squared'; did you mean 'paired'"):
        head_scores(llama, pairs, "IFV", "squared")
    with pytest.raises(InputError, match="at least one prompt pair, got none"):
        head_scores(llama, pairs[:0])
