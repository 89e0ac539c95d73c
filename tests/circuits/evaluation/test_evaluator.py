from __future__ import annotations

import pytest
import torch

from circuits.ablation import CorruptedOutputs, MeanOutputs, ZeroOutputs, ablated_metric
from circuits.components import Head, all_heads
from circuits.errors import MismatchError, NoEffectError
from circuits.evaluation import Evaluator
from circuits.evaluation.config import ABLATIONS
from circuits.forward import LayeredModel
from circuits.forward.passes import at_end
from circuits.metrics import logit_diff, prob_diff
from circuits.pruning import PruningRule, prune
from tests.circuits.families import N_HEADS, N_LAYERS
from tests.circuits.progress import written_down
from tests.circuits.prompts import ragged_pairs

EVERYTHING = frozenset(all_heads(N_LAYERS, N_HEADS))
SOME = frozenset({Head(0, 1), Head(1, 3), Head(2, 2)})


@pytest.fixture
def evaluator(llama, pairs) -> Evaluator:
    return Evaluator(llama, pairs, ragged_pairs(9))


def percent(llama, pairs, heads, metric=logit_diff, mean_pairs=None) -> float:
    model = LayeredModel.of(llama)
    means = MeanOutputs.of(model, mean_pairs if mean_pairs is not None else ragged_pairs(9))
    kept, full = ablated_metric(model, pairs, means, [heads, EVERYTHING], metric).mean(1)
    return float(kept / full * 100)


def test_all_heads_keep_all(llama, pairs, evaluator) -> None:
    assert evaluator.performance(EVERYTHING) == pytest.approx(100)
    with torch.no_grad():
        own = logit_diff(at_end(llama(pairs.clean), pairs), pairs).mean()
    assert evaluator.full_metric == pytest.approx(float(own), rel=1e-4)


def test_performance_is_a_share_of_the_mean_metric(llama, pairs, evaluator) -> None:
    assert evaluator.performance(SOME) == pytest.approx(percent(llama, pairs, SOME), rel=1e-4)
    other = Evaluator(llama, pairs, ragged_pairs(9), prob_diff)
    expected = percent(llama, pairs, SOME, prob_diff)
    assert other.performance(SOME) == pytest.approx(expected, rel=1e-3)


def test_means_come_from_the_discovery_prompts_by_default(llama, pairs) -> None:
    expected = percent(llama, pairs, SOME, mean_pairs=pairs)
    assert Evaluator(llama, pairs).performance(SOME) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_metrics_of_every_ablation(llama, pairs, evaluator, ablation) -> None:
    """Several at once, in another order, some of them known, some asked for twice."""
    evaluator.metrics([SOME], ablation)
    asked = [frozenset(), EVERYTHING, SOME, frozenset()]
    found = evaluator.metrics(asked, ablation)
    model = LayeredModel.of(llama)
    replaced = {
        "mean": lambda: MeanOutputs.of(model, ragged_pairs(9)),
        "resample": lambda: CorruptedOutputs.of(model, pairs),
        "zero": lambda: ZeroOutputs(model),
    }[ablation]()
    expected = ablated_metric(model, pairs, replaced, asked, logit_diff)
    torch.testing.assert_close(found, expected.double(), rtol=1e-4, atol=1e-5)


def test_many_prompts_are_resampled_in_batches(llama, monkeypatch) -> None:
    monkeypatch.setattr("circuits.evaluation.evaluator._PROMPTS_RESAMPLED_TOGETHER", 4)
    pairs, (progress, heard) = ragged_pairs(9), written_down()
    evaluator = Evaluator(llama, pairs)
    found = evaluator.metrics([SOME, frozenset()], "resample", progress)
    model = LayeredModel.of(llama)
    outputs = CorruptedOutputs.of(model, pairs)
    expected = ablated_metric(model, pairs, outputs, [SOME, frozenset()], logit_diff)
    torch.testing.assert_close(found, expected.double(), rtol=1e-4, atol=1e-5)
    assert heard == sorted(heard) and heard[-1] == 1


def test_nothing_is_run_twice(llama, pairs, evaluator, monkeypatch) -> None:
    first = evaluator.performances([SOME, frozenset(), SOME, EVERYTHING])
    assert first[0] == first[2] != first[1]
    monkeypatch.setattr("circuits.evaluation.evaluator.ablated_metric", None)
    assert evaluator.performances([frozenset(), SOME]) == [first[1], first[0]]
    assert evaluator.performances([]) == []


def test_prunings_run_their_common_circuits_once(evaluator, monkeypatch) -> None:
    run = []

    def recorded(model, pairs, means, circuits, *rest, **options):
        run.extend(circuits)
        return ablated_metric(model, pairs, means, circuits, *rest, **options)

    monkeypatch.setattr("circuits.evaluation.evaluator.ablated_metric", recorded)
    scores, rule = torch.arange(12.0).view(N_LAYERS, N_HEADS), PruningRule("first", 0.2, 0.9, 0.02)
    others = scores.clone()
    others[2, 2:] = others[2, 2:].flip(0)
    prunings = [prune(given, rule, evaluator.performances) for given in (scores, others, scores)]
    assert prunings[0] == prunings[2]
    assert len(run) == len(set(run))


def test_a_missing_template(llama) -> None:
    pairs = ragged_pairs(9)
    with pytest.raises(MismatchError, match="template has no mean head outputs"):
        Evaluator(llama, pairs, pairs[pairs.end == 8])


def test_a_metric_of_zero(llama, pairs) -> None:
    with pytest.raises(NoEffectError, match="full model's metric is 0"):
        Evaluator(llama, pairs, metric=lambda logits, pairs: logits[..., 0] * 0)
