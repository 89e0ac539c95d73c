"""Learned scores against their formulas, written out with autograd."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch

from circuits.edge_scores import edge_scores, reliable_edges
from circuits.edge_scores.edge_pruning import drawn_gates, expected_sparsity, prune
from circuits.edge_scores.mattr import rank
from circuits.errors import InputError, NoEffectError, SettingError
from circuits.forward import Activations
from circuits.masking import MaskedRuns
from circuits.metrics import prob_diff
from tests.circuits.conftest import shared_model
from tests.circuits.prompts import ragged_pairs

PAIRS = ragged_pairs(5)
N_STEPS = 3
LEARNED = ("mattr", "edge-pruning")


@lru_cache
def groups() -> list[MaskedRuns]:
    """Four prompts, and the one that is left."""
    model = shared_model("llama")
    return [MaskedRuns(Activations(model, some, prob_diff)) for some in (PAIRS[:4], PAIRS[4:])]


def learned(name: str, **settings) -> torch.Tensor:
    scores = edge_scores(shared_model("llama"), PAIRS, name, prob_diff, **settings)
    return scores.values[groups()[0].every_edge.bool()][:, 0]


def run_at(weights: torch.Tensor, step: int):
    runs = groups()[step % 2]
    every = runs.every_edge.bool()
    found = runs.slopes(torch.zeros(every.shape).masked_scatter(every, weights))
    return found.metric, found.gradients[every], runs.activations


def soft(scores: torch.Tensor, size: int) -> torch.Tensor:
    """With a middle that has a gradient: the last step towards it is Newton's."""
    low, high = -50.0, 50.0
    for _ in range(80):
        middle = (low + high) / 2
        more = torch.sigmoid(scores - middle).sum() > size
        low, high = (middle, high) if more else (low, middle)
    at = torch.sigmoid(scores - low)
    middle = low + (at.sum() - size) / (at * (1 - at)).sum().detach()
    return torch.sigmoid(scores - middle)


def test_mattr_moves_scores_along_the_mean_metric_of_masks_of_drawn_sizes() -> None:
    n = int(groups()[0].every_edge.sum())
    scores = torch.zeros(n, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([scores], lr=0.05)
    for step, size in enumerate(np.random.default_rng(7).integers(1, n, size=N_STEPS)):
        weights = soft(scores, int(size))
        _, slopes, _ = run_at(weights.detach().float(), step)
        optimizer.zero_grad()
        (-(weights * slopes.mean(-1)).sum()).backward()
        optimizer.step()
    found = learned("mattr", n_steps=N_STEPS, seed=7)
    torch.testing.assert_close(found, scores.detach().float(), rtol=2e-2, atol=2e-3)
    assert found.unique().numel() > n / 2


def worth(weights: torch.Tensor) -> torch.Tensor:
    """A made-up model: three edges matter, the third of them only beside the second."""
    return weights[4] + weights[11] + weights[11] * weights[17]


def slopes_of(value, sign: int = 1):
    def slopes_at(weights: torch.Tensor, step: int) -> torch.Tensor:
        at = weights.clone().requires_grad_()
        return torch.autograd.grad(sign * value(at), at)[0]

    return slopes_at


@pytest.mark.parametrize("seed", range(2))
def test_what_matters_is_learned(seed: int) -> None:
    ranked = rank(40, slopes_of(worth), 200, seed)
    pruned = prune(40, slopes_of(lambda w: (worth(w) - 3) ** 2), 500, 0.9, seed)
    for scores in (ranked, pruned):
        assert set(scores.topk(3).indices.tolist()) == {4, 11, 17}


@pytest.mark.parametrize("sparsity", [0.3, 0.9])
def test_about_the_target_is_left_out_in_the_end(sparsity: float) -> None:
    log_alpha = prune(40, slopes_of(lambda w: (worth(w) - 3) ** 2), 500, sparsity)
    assert float(expected_sparsity(log_alpha)) == pytest.approx(sparsity, abs=0.05)


def test_edge_pruning_is_a_distance_under_a_sparsity_that_rises() -> None:
    n = int(groups()[0].every_edge.sum())
    draw = torch.Generator().manual_seed(3)
    alpha = (2 + 0.01 * torch.randn(n, generator=draw)).requires_grad_()
    first, second = (torch.zeros((), requires_grad=True) for _ in range(2))
    down, up = torch.optim.Adam([alpha], lr=0.1), torch.optim.Adam([first, second], lr=0.1)
    ends = torch.cat(
        [one.activations.clean_metric - one.activations.corrupted_metric for one in groups()]
    )
    for step in range(6):
        u = torch.rand(n, generator=draw).clamp(1e-6, 1 - 1e-6)
        s = torch.sigmoid(1.5 * (torch.log(u / (1 - u)) + alpha))
        gates = (1.2 * s - 0.1).clamp(0, 1)
        metric, slopes, activations = run_at(gates.detach(), step)
        off = (metric - activations.clean_metric) / ends.abs().mean()
        distance = (gates * (2 * off / ends.abs().mean() * slopes).mean(-1)).sum()
        sparsity = 1 - torch.sigmoid(alpha - 2 / 3 * np.log(0.1 / 1.1)).mean()
        missing = 0.7 * min(1, step / 5) - sparsity
        for optimizer in (down, up):
            optimizer.zero_grad()
        (distance + first * missing + second * missing**2).backward()
        first.grad, second.grad = -first.grad, -second.grad
        down.step(), up.step()
    found = learned("edge-pruning", n_steps=6, seed=3, sparsity=0.7)
    torch.testing.assert_close(found, alpha.detach(), rtol=1e-3, atol=1e-3)


def test_gates_are_shut_as_often_as_is_expected() -> None:
    for log_alpha in (-3.0, -1.0, 0.0, 2.0):
        alpha = torch.full((200_000,), log_alpha)
        draw = torch.Generator().manual_seed(0)
        gates = drawn_gates(alpha, torch.rand(len(alpha), generator=draw))
        assert gates.min() >= 0
        assert gates.max() <= 1
        share = float((gates == 0).float().mean())
        assert share == pytest.approx(float(expected_sparsity(alpha)), abs=5e-3)


@pytest.mark.parametrize("name", LEARNED)
def test_what_is_learned_is_one_number_for_all_prompts(name: str, llama) -> None:
    first, again, other = (
        edge_scores(llama, PAIRS[:2], name, prob_diff, n_steps=2, seed=seed) for seed in (1, 1, 2)
    )
    assert first.values.shape == (40, 16, 1)
    assert first.values.nan_to_num().equal(again.values.nan_to_num())
    assert not first.values.nan_to_num().equal(other.values.nan_to_num())
    with pytest.raises(InputError, match="one number for all prompts"):
        reliable_edges(first)


def test_settings_of_others_are_refused(llama) -> None:
    with pytest.raises(SettingError, match="'mattr' has no use for sparsity; it takes n_steps, se"):
        edge_scores(llama, PAIRS, "mattr", sparsity=0.5)
    with pytest.raises(SettingError, match="'swept' has no use for seed; it takes n_steps"):
        edge_scores(llama, PAIRS, "swept", seed=1)
    with pytest.raises(SettingError, match="'atp-star' has no use for n_steps"):
        edge_scores(llama, PAIRS, "atp-star", n_steps=1)
    with pytest.raises(SettingError, match="sparsity must be above 0 and below 1, got 1"):
        edge_scores(llama, PAIRS, "edge-pruning", sparsity=1.0)


def test_prompts_that_corruption_does_not_change_teach_edge_pruning_nothing(llama) -> None:
    with pytest.raises(NoEffectError):
        edge_scores(llama, PAIRS, "edge-pruning", lambda logits, pairs: 0 * logits[:, 0], n_steps=1)
