"""The shipped models: they do their tasks, by their circuits, as their records say."""

from __future__ import annotations

from functools import lru_cache

import pytest

from benchmarks.truth.recipes import MADE
from circuits.behaviour import measure_behaviour
from circuits.components import HEAD_INPUTS, Head, Receiver, all_heads
from circuits.evaluation import Evaluator
from circuits.forward import check_reproduces
from circuits.model import tokenizer_of
from circuits.patching import path_effects
from circuits.truth import list_truths, load_truth
from circuits.truth.ground import DATA
from tests.circuits.truth.slow_interchange import interchange_accuracy

NAMES = list_truths()
TRAINED = [name for name in NAMES if name.startswith("siit")]
WIRED = [name for name in NAMES if not name.startswith("siit")]
NO_PATH = 0.01
"""Largest |effect| that counts as none: the default `min_effect` of a selection rule."""


@lru_cache
def truth_of(name):
    return load_truth(name)


@lru_cache
def pairs_of(name):
    truth = truth_of(name)
    return truth.task.sample(tokenizer_of(truth.model), n=64, seed=7)


def test_every_model_that_is_made_is_shipped() -> None:
    assert set(NAMES) == set(MADE)
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 5 * 2**20


@pytest.mark.parametrize("name", NAMES)
def test_does_its_task(name: str) -> None:
    truth = truth_of(name)
    behaviour = measure_behaviour(truth.model, pairs_of(name))
    assert behaviour.accuracy >= 0.98
    assert behaviour.weakness is None
    assert behaviour.corrupted_metric < behaviour.clean_metric / 2
    check_reproduces(truth.model, n_tokens=truth.record.shape.n_ctx)


@pytest.mark.parametrize("name", NAMES)
def test_true_circuit_is_enough_and_needed(name: str) -> None:
    truth, pairs = truth_of(name), pairs_of(name)
    evaluator = Evaluator(truth.model, pairs)
    assert 95 <= evaluator.performance(truth.heads) <= 105
    shape = truth.record.shape
    everything = frozenset(all_heads(shape.n_layers, shape.n_heads))
    for head in truth.heads:
        assert evaluator.performance(everything - {head}) < 75, head


@pytest.mark.parametrize("name", TRAINED)
def test_interchange_accuracy_is_reproduced(name: str) -> None:
    """With hooks on the bridge and causal models in plain Python, on prompts of another draw."""
    truth = truth_of(name)
    recorded = truth.record.interchange
    assert recorded is not None
    measured = interchange_accuracy(truth, n=96, seed=3)
    assert measured.keys() == {"behaviour", "single", "joint", *recorded.variables}
    figures = {"behaviour": recorded.behaviour, "joint": recorded.joint, **recorded.variables}
    for figure, share in {**figures, "single": recorded.single}.items():
        assert measured[figure] == pytest.approx(share, abs=0.04), figure


@pytest.mark.parametrize("name", WIRED)
def test_known_paths_are_all_there_are(name: str) -> None:
    """Exact effects: true paths have one, and no other head has any on what the circuit reads."""
    truth, pairs = truth_of(name), pairs_of(name)[:8]
    assert truth.connections is not None
    receivers = [Receiver.logits()]
    receivers += [Receiver(h, part) for h in truth.heads if h.layer > 0 for part in HEAD_INPUTS]
    found = set()
    for receiver in receivers:
        effects = path_effects(truth.model, pairs, receiver, engine="exact")
        strong = effects.abs().nan_to_num(0.0) > NO_PATH
        found |= {(Head(*place), receiver) for place in strong.nonzero().tolist()}
    assert found == {(path.sender, path.receiver) for path in truth.connections}
