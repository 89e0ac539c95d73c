"""Batches shrink where memory is short, a line says so, and the numbers stay."""

from __future__ import annotations

import pytest
import torch

from circuits.ablation import MeanOutputs, heads, outputs, weighted, weighted_gradients
from circuits.forward import LayeredModel
from circuits.forward import activations as running
from circuits.forward.activations import Activations
from circuits.forward.passes import PairedActivations
from circuits.metrics import logit_diff
from circuits.patching import MeasuredEffects, effect_table, measured, paths
from circuits.patching.edge_values import EdgeValues
from circuits.patching.estimators import ESTIMATORS
from circuits.patching.exact import _Exact
from circuits.patching.sweep import _Sweep
from circuits.roles import answers, read_heads
from circuits.runtime.shrinking import Shrinking, SmallerBatchWarning
from circuits.scores import input_gradient_scores, input_gradients
from tests.circuits.prompts import ragged_pairs

MODULES = (answers, heads, input_gradients, measured, outputs, paths, running, weighted)


@pytest.fixture(autouse=True)
def forgotten():
    """What was learned of this process's memory was made up."""
    yield
    for module in MODULES:
        module._TOGETHER.most = None


def short_of(error, most):
    """A method that has memory for so many prompts alone."""

    def limited(method):
        def called(self, batch, *rest):
            if len(batch.prompts) > most:
                raise error
            return method(self, batch, *rest)

        return called

    return limited


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory: 9 bytes")])
def test_it_halves_until_it_fits_and_remembers(error):
    together, asked = Shrinking("prompts"), []

    def work(size):
        asked.append(size)
        if size > 5:
            raise error
        return size

    with pytest.warns(SmallerBatchWarning, match="memory is too short for") as told:
        assert together.run(20, work) == 5
    assert "10 prompts at once: from here on 5 are done together" in str(told[-1].message)
    assert together.run(20, work) == 5
    assert together.run(3, work) == 3
    assert asked == [20, 10, 5, 5, 3]


def test_other_errors_and_too_little_for_one_are_raised_as_they_are():
    calls = []

    def fail(size, error):
        calls.append(size)
        raise error

    with pytest.raises(RuntimeError, match="shapes"):
        Shrinking("prompts").run(8, lambda size: fail(size, RuntimeError("shapes differ")))
    with pytest.raises(MemoryError):
        Shrinking("prompts").run(1, lambda size: fail(size, MemoryError()))
    assert calls == [8, 1]


def test_swept_effects_are_the_same(llama, monkeypatch):
    pairs = ragged_pairs(n=7)
    whole = effect_table(llama, pairs).values
    monkeypatch.setattr(_Sweep, "add", short_of(MemoryError(), 2)(_Sweep.add))
    with pytest.warns(SmallerBatchWarning):
        again = effect_table(llama, pairs).values
    torch.testing.assert_close(again, whole, rtol=0, atol=1e-5, equal_nan=True)


def test_measured_effects_are_the_same(llama, monkeypatch):
    activations = Activations(llama, ragged_pairs(n=7))
    graph = activations.graph()
    receiver = graph.receivers[-1]

    def effects():
        known = EdgeValues.unknown(graph)
        return MeasuredEffects(activations, ESTIMATORS.get("exact"), known).into(receiver)

    whole = effects()
    monkeypatch.setattr(_Exact, "open", short_of(MemoryError(), 3)(_Exact.open))
    with pytest.warns(SmallerBatchWarning, match="7 prompts at once"):
        torch.testing.assert_close(effects(), whole, rtol=0, atol=1e-5, equal_nan=True)


def test_prompts_are_run_in_smaller_parts(llama, monkeypatch):
    whole = Activations(llama, ragged_pairs(n=9)).clean_metric
    of = PairedActivations.of

    def limited(model, pairs, metric):
        if len(pairs) > 4:
            raise MemoryError
        return of(model, pairs, metric)

    monkeypatch.setattr(PairedActivations, "of", limited)
    with pytest.warns(SmallerBatchWarning):
        parts = Activations(llama, ragged_pairs(n=9))
        torch.testing.assert_close(parts.clean_metric, whole, rtol=0, atol=1e-5)
    assert [len(batch.prompts) for batch in parts.batches] == [4, 4, 1]


def test_ablated_models_are_run_in_smaller_parts(toy, found, monkeypatch):
    from circuits.discovery.session import Session

    session = Session.of(*toy, found.config)
    evaluator = session.evaluator()
    kept = [frozenset(), found.circuit.heads, evaluator.everything]
    whole = evaluator.on(session.pairs).metrics(kept)
    run = heads._run

    def limited(*arguments):
        if arguments[6] > 100:
            raise MemoryError
        return run(*arguments)

    monkeypatch.setattr(heads, "_run", limited)
    with pytest.warns(SmallerBatchWarning, match="rows of circuits"):
        again = evaluator.on(session.pairs).metrics(kept)
    torch.testing.assert_close(again, whole, rtol=0, atol=1e-5)


def slopes(model, pairs):
    kept = torch.ones(model.n_layers, model.n_heads, dtype=torch.bool)
    means = MeanOutputs.of(model, pairs)
    return weighted_gradients(model, pairs, means, kept, 0.5, logit_diff).gradients


SMALLER = {
    "gradients of head outputs": (
        (running, "metric_gradients", lambda run, *rest: len(run.pairs)),
        lambda model, pairs: torch.cat(Activations(model, pairs).batches[0].gradients[:-1]),
    ),
    "gradients along inputs": (
        (input_gradients, "metric_gradients", lambda run, *rest: len(run.pairs)),
        lambda model, pairs: input_gradient_scores(Activations(model, pairs)),
    ),
    "slopes by weights": (
        (weighted, "_head_outputs", lambda layer, resid, *rest, **how: len(resid)),
        slopes,
    ),
    "means": (
        (outputs, "head_outputs", lambda model, tokens: len(tokens)),
        lambda model, pairs: torch.stack(MeanOutputs.of(model, pairs).z),
    ),
    "readings of heads": (
        (answers, "run_layers", lambda model, tokens, pairs: len(tokens)),
        lambda model, pairs: read_heads(model.bridge, pairs).direct.heads,
    ),
}
"""What is limited, by how many prompts it is given; and numbers that come from it."""


@pytest.mark.parametrize("what", SMALLER)
def test_what_runs_many_prompts_runs_them_in_parts(what, llama, monkeypatch):
    (module, name, n_prompts), numbers = SMALLER[what]
    model, pairs = LayeredModel.of(llama), ragged_pairs(n=7)
    whole, work = numbers(model, pairs), getattr(module, name)

    def limited(*given, **how):
        if n_prompts(*given, **how) > 2:
            raise MemoryError
        return work(*given, **how)

    monkeypatch.setattr(module, name, limited)
    # Means are of prompts of one length, of which there are few.
    with pytest.warns(SmallerBatchWarning, match="prompts at once"):
        again = numbers(model, pairs)
    torch.testing.assert_close(again, whole, rtol=1e-5, atol=1e-5)
