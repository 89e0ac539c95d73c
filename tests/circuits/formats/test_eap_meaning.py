"""Graphs of EAP-IG mean there what circuits mean here, as far as they can."""

import json

import pytest
import torch

from circuits import Circuit, Edge, Head, Receiver
from circuits.ablation import edge_ablated_metric
from circuits.components import all_heads
from circuits.formats import from_eap_graph
from circuits.forward import LayeredModel
from circuits.forward.passes import at_end, run_layers
from circuits.metrics import logit_diff
from tests.circuits.conftest import shared_model
from tests.circuits.formats.graphs import written
from tests.circuits.formats.slow_twin import metric_of_graph


@pytest.fixture(params=["gpt2", "gpt-neox", "llama"])
def model(request):
    return LayeredModel.of(shared_model(request.param))


def compare(model, pairs, circuit):
    data = written(circuit, model.graph())
    theirs = metric_of_graph(model, pairs, data, logit_diff)
    edges = (
        circuit.edges
        or from_eap_graph(json.dumps({**data, "accelerated_path_patching": {}})).circuit.edges
    )
    ours = edge_ablated_metric(model, pairs, edges, logit_diff)
    torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=1e-4)
    return theirs


def test_one_path(model, pairs):
    sizes = model.n_layers, model.n_heads
    seen = []
    for head in (Head(0, 1), Head(1, 0), Head(model.n_layers - 1, 2)):
        edge = Edge(head, Receiver.logits(), -0.5)
        seen.append(compare(model, pairs, Circuit(frozenset({head}), frozenset({edge}), *sizes)))
    assert not torch.allclose(seen[0], seen[1], atol=1e-3)


def test_all_paths_among_some_heads(model, pairs):
    """A circuit without edges is written with all of them."""
    heads = [head for head in all_heads(model.n_layers, model.n_heads) if head.index != 1]
    compare(model, pairs, Circuit.of_heads(heads, model.n_layers, model.n_heads))


def test_everything(model, pairs):
    every = all_heads(model.n_layers, model.n_heads)
    circuit = Circuit.of_heads(every, model.n_layers, model.n_heads)
    whole = compare(model, pairs, circuit)
    _, resid = run_layers(model, pairs.clean)
    torch.testing.assert_close(whole, logit_diff(model.unembed(at_end(resid, pairs)), pairs))
