"""Every fast computation against its slow twin on models with what few families have.

Exact effects and those to the logits are in tests/benchmarks/test_family_table.py, for all of them.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.families import FAMILIES as STUDIED
from circuits.ablation import CorruptedOutputs, edge_ablated_metric, kept_mask, weighted_gradients
from circuits.components import Head, Receiver, all_heads
from circuits.evaluation import Evaluator
from circuits.forward import Activations, LayeredModel
from circuits.forward.passes import at_end, run_layers
from circuits.metrics import logit_diff
from circuits.patching import effect_table
from circuits.scores import attribution_scores, mask_scores
from tests.circuits.ablation.slow_twin import all_edges, edge_metric_by_hand, weighted_by_hand
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES, N_HEADS, N_LAYERS, RARE
from tests.circuits.patching.slow_twin import first_order_changes, metric_gradient, run
from tests.circuits.prompts import ragged_pairs

PAIRS = ragged_pairs(3, width=12)
RECEIVERS = tuple(map(Receiver.parse, ("1.0.q", "1.3.k", "2.3.q", "2.0.k", "2.2.v")))
EVERYTHING = frozenset(all_heads(N_LAYERS, N_HEADS))
SOME = frozenset({Head(0, 1), Head(1, 3), Head(1, 0), Head(2, 2)})


@pytest.fixture(params=RARE)
def bridge(request):
    return shared_model(request.param)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """In shares of the largest figure, which is none that could be rounding."""
    largest = float(expected.nan_to_num().abs().max())
    assert largest > 1e-3
    torch.testing.assert_close(
        found.to(expected.dtype) / largest, expected / largest, rtol=0, atol=1e-4, equal_nan=True
    )


@pytest.mark.parametrize("length", [1, 2, 20])
def test_prompts_of_any_length(bridge, length: int) -> None:
    model = LayeredModel.of(bridge)
    tokens = torch.arange(2 * length).view(2, length)
    with torch.no_grad():
        close(model.unembed(run_layers(model, tokens)[1]), bridge(tokens))


def test_swept_effects_on_heads(bridge) -> None:
    table = effect_table(bridge, PAIRS)
    with torch.no_grad():
        clean, corrupted = (
            logit_diff(at_end(bridge(tokens), PAIRS), PAIRS).sum()
            for tokens in (PAIRS.clean, PAIRS.corrupted)
        )
    for receiver in RECEIVERS:
        head, _ = receiver.on_head()
        senders = all_heads(head.layer, N_HEADS)
        changes = first_order_changes(bridge, PAIRS, receiver, senders, logit_diff).sum(-1)
        expected = (changes / (clean - corrupted)).view(-1, N_HEADS)
        close(table.effects(receiver)[: head.layer], expected)


def test_heads_in_part_and_in_whole(bridge) -> None:
    """Weights of heads with their gradients; and circuits, as an evaluation runs them."""
    model = LayeredModel.of(bridge)
    outputs = CorruptedOutputs.of(model, PAIRS)
    (kept,) = kept_mask([SOME], N_LAYERS, N_HEADS)
    for weight in (0.25, 1.0):
        found = weighted_gradients(model, PAIRS, outputs, kept, weight, logit_diff)
        metric, gradients = weighted_by_hand(bridge, PAIRS, outputs, kept, weight, logit_diff)
        close(found.metric, metric)
        close(found.gradients, gradients)
    close(Evaluator(bridge, PAIRS).metrics([SOME], "resample")[0], metric)


def test_paths_of_a_circuit(bridge) -> None:
    edges = frozenset(sorted(all_edges(SOME))[::2])
    found = edge_ablated_metric(LayeredModel.of(bridge), PAIRS, edges, logit_diff)
    close(found, edge_metric_by_hand(bridge, PAIRS, edges, logit_diff))


def test_mask_attribution(bridge) -> None:
    """The mean of the gradients above, on the way from nothing kept to everything."""
    model = LayeredModel.of(bridge)
    found = mask_scores(Activations(model, PAIRS, logit_diff))
    outputs = CorruptedOutputs.of(model, PAIRS)
    (kept,) = kept_mask([EVERYTHING], N_LAYERS, N_HEADS)
    slopes = [
        weighted_gradients(
            model, PAIRS, outputs, kept, (part + 0.5) / found.n_weights, logit_diff
        ).gradients
        for part in range(found.n_weights)
    ]
    close(found.per_prompt, torch.stack(slopes).mean(0))


def test_attribution(bridge) -> None:
    expected = []
    for layer in range(N_LAYERS):
        name = f"blocks.{layer}.attn.hook_z"
        gradient, clean = metric_gradient(bridge, PAIRS, name, logit_diff)
        change = run(bridge, PAIRS.corrupted, [name])[name] - clean
        expected.append((change * gradient).sum((1, 3)).abs().mean(0))
    found = attribution_scores(Activations(LayeredModel.of(bridge), PAIRS, logit_diff))
    close(found, torch.stack(expected))


def traits(model: LayeredModel) -> set[str]:
    model.tables.reserve(12)
    found: set[str] = set()
    for layer in model.layers:
        rotary, d_head = layer.rotary(), layer.query.weight.shape[1]
        found |= {
            f"norm in front: {not isinstance(layer.norm_attention, nn.Identity)}",
            f"norm behind: {layer.norm_attention_output is not None}",
            f"norm of queries: {layer.norm_query and layer.norm_query.span}",
            f"rotated: {rotary is not None}",
            f"neighbours: {rotary is not None and rotary.neighbours}",
            f"part of a head: {rotary is not None and 2 * rotary.cos.shape[-1] < d_head}",
            f"biases of scores: {layer.biases is not None}",
            f"sinks: {layer.sinks is not None}",
            f"usual scale: {layer.scale == pytest.approx(d_head**-0.5)}",
            f"multiplied queries: {layer.query_multiplier is not None}",
            f"window: {layer.window is not None}",
            f"parallel: {layer.parallel}",
            f"one key for all: {layer.n_kv_heads == 1}",
            f"multiplier: {layer.mlp is not None and layer.mlp.multiplier != 1}",
        }
    resid = torch.ones(1, model.d_model)
    own = model.bridge.unembed(model.norm_final(resid))
    return found | {f"logits scaled: {not torch.allclose(model.unembed(resid), own)}"}


def test_no_other_family_has_anything_else() -> None:
    here = {
        trait
        for name in (*FAMILIES, *RARE)
        for trait in traits(LayeredModel.of(shared_model(name)))
    }
    assert len(here) == 32, "both ways of everything"
    for family in STUDIED:
        assert traits(LayeredModel.of(family.bridge())) <= here, family.name
