"""Mask attribution against slopes taken by hooks, and against what scores must add up to."""

from __future__ import annotations

import pytest
import torch

from circuits.ablation import CorruptedOutputs, ablated_metric
from circuits.components import Head
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.session import Session
from circuits.forward import Activations, LayeredModel
from circuits.forward.activations import PROMPTS_TOGETHER
from circuits.metrics import logit_diff
from circuits.scores import SCORERS, ScoreSettings, integrated, mask_scores
from circuits.truth import list_truths, load_truth
from tests.circuits.ablation.slow_twin import weighted_by_hand
from tests.circuits.families import N_HEADS, N_LAYERS
from tests.circuits.prompts import ragged_pairs


def activations_of(bridge, pairs) -> Activations:
    return Activations(LayeredModel.of(bridge), pairs, logit_diff)


def test_is_the_mean_slope_on_the_way(bridge, pairs) -> None:
    found = mask_scores(activations_of(bridge, pairs))
    outputs = CorruptedOutputs.of(LayeredModel.of(bridge), pairs)
    kept = torch.ones(N_LAYERS, N_HEADS, dtype=torch.bool)
    slopes = []
    for part in range(found.n_weights):
        weight = (part + 0.5) / found.n_weights
        slopes.append(weighted_by_hand(bridge, pairs, outputs, kept, weight, logit_diff)[1])
    expected = torch.stack(slopes).mean(0)
    torch.testing.assert_close(found.per_prompt, expected, rtol=1e-3, atol=1e-4)
    assert torch.equal(found.mean, found.per_prompt.mean(0))


def test_scores_add_up_to_what_all_heads_do(bridge, pairs) -> None:
    model, found = LayeredModel.of(bridge), mask_scores(activations_of(bridge, pairs))
    outputs = CorruptedOutputs.of(model, pairs)
    everything = frozenset(model.graph().heads)
    every, none = ablated_metric(model, pairs, outputs, [everything, frozenset()], logit_diff)
    assert found.explained == pytest.approx(
        float(found.per_prompt.sum() / (every - none).sum()), rel=1e-3
    )
    assert found.has_converged
    assert abs(found.explained - 1) <= 0.15


def test_batches_of_prompts_are_put_in_order(llama) -> None:
    many = ragged_pairs(PROMPTS_TOGETHER + 3)
    whole = mask_scores(activations_of(llama, many))
    few = mask_scores(activations_of(llama, many[:3]))
    assert whole.n_weights == few.n_weights
    torch.testing.assert_close(whole.per_prompt[:3], few.per_prompt, rtol=1e-3, atol=1e-4)


class TestWeights:
    """On functions whose integrals are known."""

    @staticmethod
    def of(power: float, span: float = 1.0):
        asked = []

        def gradients_at(weight: float) -> torch.Tensor:
            asked.append(weight)
            return torch.full((2, 1, 1), (power + 1) * weight**power)

        return integrated(gradients_at, torch.full((2,), span)), asked

    def test_a_straight_line_takes_two(self) -> None:
        found, asked = self.of(1)
        assert (found.n_weights, asked) == (2, [0.25, 0.75])
        assert found.explained == pytest.approx(1.0)

    def test_a_steep_one_takes_more_and_none_twice(self) -> None:
        found, asked = self.of(30)
        assert found.n_weights == 18
        assert len(asked) == len(set(asked)) == 18
        assert found.explained == pytest.approx(1.0, abs=0.15)

    def test_what_never_adds_up_ends(self) -> None:
        found, asked = self.of(0, span=9.0)
        assert found.n_weights == len(asked) == 54
        assert not found.has_converged
        assert found.explained == pytest.approx(1 / 9)

    def test_prompts_that_cancel_do_not_converge(self) -> None:
        wrong = torch.tensor([[[2.0]], [[0.0]]])
        found = integrated(lambda weight: wrong, torch.ones(2))
        assert found.explained == 1.0
        assert found.error == 1.0
        assert not found.has_converged


@pytest.mark.parametrize("name", list_truths())
def test_heads_of_known_circuits_come_first(name: str) -> None:
    """Also where every softmax is saturated, which first-order scores do not see behind."""
    truth = load_truth(name)
    session = Session.of(truth.model, truth.task, DiscoveryConfig())
    scorer = SCORERS.get("mask-attribution")
    scores = scorer.score(session.activations, session.graph, ScoreSettings())
    best = scores.flatten().argsort(descending=True)[: len(truth.heads)].tolist()
    n_heads = session.model.n_heads
    assert {Head(*divmod(place, n_heads)) for place in best} == truth.heads
