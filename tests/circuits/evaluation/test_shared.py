"""The metric of many circuits by workers is that by one process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import pytest
import torch

from circuits.evaluation import Evaluator
from circuits.evaluation.shared import CIRCUITS_EACH, SharedMetrics
from circuits.model import identify
from circuits.runtime.sharing import shared
from circuits.runtime.workers import Workers


@pytest.fixture
def evaluators(llama, pairs, tmp_path):
    """One that does all itself, and one with workers."""
    with ThreadPoolExecutor(1) as pool, shared(Workers(pool), tmp_path) as sharing:
        elsewhere = SharedMetrics(identify(llama), pairs, "logit_diff", sharing)
        yield Evaluator(llama, pairs), Evaluator(llama, pairs, elsewhere=elsewhere)


@pytest.mark.parametrize("ablation", ["mean", "resample", "zero"])
def test_many_circuits_are_run_in_parts(evaluators, tmp_path, ablation) -> None:
    alone, many = evaluators
    circuits = [frozenset(two) for two in combinations(sorted(alone.everything), 2)][::3]
    n_parts = -(-len(circuits) // CIRCUITS_EACH)
    assert n_parts > 1
    found = many.metrics(circuits, ablation)
    torch.testing.assert_close(found, alone.metrics(circuits, ablation), rtol=1e-4, atol=1e-5)
    assert len([*(tmp_path / "parts").iterdir()]) == n_parts


def test_few_circuits_are_run_here(evaluators, tmp_path) -> None:
    alone, many = evaluators
    circuits = [frozenset({head}) for head in sorted(alone.everything)][:CIRCUITS_EACH]
    assert torch.equal(many.metrics(circuits), alone.metrics(circuits))
    assert not [*tmp_path.iterdir()]


def test_other_prompts_have_the_same_means(evaluators, pairs) -> None:
    circuits = [frozenset({head}) for head in sorted(evaluators[0].everything)]
    assert len(circuits) > CIRCUITS_EACH
    alone, many = (one.on(pairs[:3]).metrics(circuits) for one in evaluators)
    torch.testing.assert_close(many, alone, rtol=1e-4, atol=1e-5)
