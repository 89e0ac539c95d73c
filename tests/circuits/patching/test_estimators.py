"""Engines by name, their flags, and that each finds the same whether asked for one or for all."""

from __future__ import annotations

import pytest
import torch

from circuits.components import Head, Receiver
from circuits.errors import InputError
from circuits.forward import Activations, LayeredModel
from circuits.metrics import logit_diff
from circuits.patching import (
    ESTIMATORS,
    EdgeSums,
    ReceiverEstimator,
    edge_sums,
    effect_table,
    path_effects,
)
from circuits.patching.plan import plan_work
from tests.circuits.progress import written_down

SOME = (Head(0, 1), Head(1, 0), Head(1, 3), Head(2, 2))


@pytest.mark.parametrize(
    ("name", "is_exact", "has_remainders", "by_receiver"),
    [
        ("reference", True, False, True),
        ("exact", True, False, True),
        ("sweep", False, True, False),
    ],
)
def test_what_each_says_of_itself(name, is_exact, has_remainders, by_receiver) -> None:
    estimator = ESTIMATORS.get(name)
    assert (estimator.name, estimator.is_exact) == (name, is_exact)
    assert estimator.has_remainders == has_remainders
    assert isinstance(estimator, ReceiverEstimator) == by_receiver
    assert estimator.description


@pytest.mark.parametrize("name", ["reference", "exact"])
def test_all_edges_are_those_of_each_receiver(llama, pairs, name: str) -> None:
    """Among some heads; a shared key is read where any head of its group is among them."""
    found = effect_table(llama, pairs, SOME, engine=name)
    graph = found.graph
    expected = torch.full_like(found.values, torch.nan)
    for row, receiver in enumerate(graph.receivers):
        if receiver.is_logits or set(SOME) & set(graph.readers(receiver)):
            effects = path_effects(llama, pairs, receiver, SOME)
            expected[row] = effects.flatten()
    assert found.n_known > len(SOME)
    torch.testing.assert_close(found.values, expected, rtol=0, atol=2e-5, equal_nan=True)


@pytest.mark.parametrize("name", ESTIMATORS.names())
def test_the_logits_are_exact_whatever_the_engine(llama, pairs, name: str) -> None:
    logits = Receiver.logits()
    expected = path_effects(llama, pairs, logits, SOME)
    found = effect_table(llama, pairs, SOME, engine=name).effects(logits)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5, equal_nan=True)


@pytest.mark.parametrize("name", ESTIMATORS.names())
def test_progress_rises_to_one(llama, pairs, name: str) -> None:
    progress, heard = written_down()
    effect_table(llama, pairs, SOME, progress=progress, engine=name, memory_bytes=60_000)
    assert heard == sorted(heard)
    assert len(set(heard)) > len(SOME)
    assert heard[-1] == pytest.approx(1)


@pytest.mark.parametrize("name", ESTIMATORS.names())
def test_sums_go_on_where_they_were_cut_off(llama, pairs, name: str) -> None:
    """No batch that is in them is computed again."""
    activations = Activations(LayeredModel.of(llama), pairs, logit_diff)
    plan, kept = plan_work(activations.model, pairs, SOME, 20_000), []
    assert plan.n_batches > 2
    estimator, graph = ESTIMATORS.get(name), activations.graph()

    def keep(sums: EdgeSums) -> None:
        kept.append({key: tensor.clone() for key, tensor in sums.tensors().items()})

    whole = edge_sums(activations, estimator, SOME, plan, keep=keep)
    assert len(kept) == whole.batches == plan.n_batches
    begun, after = EdgeSums.of_tensors(graph, kept[1]), len(kept) - 2
    kept.clear()
    found = edge_sums(activations, estimator, SOME, plan, begun=begun, keep=keep)
    assert len(kept) == after
    assert torch.equal(found.changes.values.nan_to_num(9), whole.changes.values.nan_to_num(9))
    assert found.scale == whole.scale
    assert found.is_whole


class Nothing:
    """An estimator that finds no edge to have an effect."""

    name = "nothing"
    description = "no edge has an effect"
    is_exact = False
    has_remainders = False

    def add(self, batch, heads, sums, max_rows, progress):
        graph, n_prompts = sums.changes.graph, len(batch.prompts)
        for receiver in graph.receivers:
            senders = [head for head in heads if graph.reads(receiver, head)]
            sums.add([receiver], senders, torch.zeros(len(senders), n_prompts, 1))


def test_ones_own(llama, pairs) -> None:
    with ESTIMATORS.with_entry(Nothing()):
        found = effect_table(llama, pairs, engine="nothing")
    assert found.n_known == found.graph.n_edges
    assert (found.values.nan_to_num() == 0).all()


@pytest.mark.parametrize("missing", ["description", "is_exact", "has_remainders", "add"])
def test_what_is_no_estimator(missing: str) -> None:
    names = {"name", "description", "is_exact", "has_remainders", "add"} - {missing}
    broken = type("Broken", (), {name: getattr(Nothing, name) for name in names})()
    with pytest.raises(InputError, match="is no engine: it must have a description"):
        ESTIMATORS.register(broken)
