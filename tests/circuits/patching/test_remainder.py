"""The size of what an estimate leaves out: its formula in plain loops, and whether it bounds."""

from __future__ import annotations

import pytest
import torch

from circuits.components import Head, Receiver, all_heads
from circuits.forward import Activations, LayeredModel
from circuits.metrics import logit_diff
from circuits.patching import ESTIMATORS, EdgeEstimates, edge_sums, path_effects
from circuits.patching.plan import plan_work
from circuits.patching.remainder import remainder_sizes, token_weights
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES, N_HEADS, N_LAYERS
from tests.circuits.patching.slow_twin import metric_gradient, run
from tests.circuits.prompts import ragged_pairs

HEADS = all_heads(N_LAYERS, N_HEADS)


def swept(family: str, memory_bytes: int = 1 << 30) -> EdgeEstimates:
    model, pairs = LayeredModel.of(shared_model(family)), ragged_pairs()
    plan = plan_work(model, pairs, HEADS, memory_bytes)
    activations = Activations(model, pairs, logit_diff)
    return edge_sums(activations, ESTIMATORS.get("sweep"), HEADS, plan).normalised()


def looped(family: str, receiver: Receiver, sender: Head) -> float:
    """The docstring's sum over tokens of |g| |d|^2 |W| / |r|, with hooks and loops."""
    bridge, pairs = shared_model(family), ragged_pairs()
    layer = LayeredModel.of(bridge).layers[receiver.head.layer]
    at = f"blocks.{receiver.head.layer}"
    gradient, clean_z = metric_gradient(bridge, pairs, f"{at}.attn.hook_z", logit_diff)
    zs = [f"blocks.{index}.attn.hook_z" for index in range(N_LAYERS)]
    names = [f"{at}.hook_resid_pre", f"{at}.attn.hook_pattern"]
    site = f"{at}.attn.hook_{receiver.input}"
    clean = run(bridge, pairs.clean, [*zs, *names, site])
    corrupted = run(bridge, pairs.corrupted, zs)
    frozen = {name: clean[name].clone() for name in zs}
    frozen[zs[sender.layer]][:, :, sender.index] = corrupted[zs[sender.layer]][:, :, sender.index]
    sent = run(bridge, pairs.clean, [names[0], site], frozen)
    unit = receiver.head.index
    if receiver.input != "q":
        unit = layer.kv_head(unit)
    heads = [h for h in range(N_HEADS) if layer.kv_head(h) == unit]
    heads = [receiver.head.index] if receiver.input == "q" else heads
    d_head = clean_z.shape[-1]
    gain = sum(float((layer.output.weight[h] ** 2).sum()) / d_head for h in heads) / len(heads)
    size = clean[names[0]].norm(dim=-1)
    total = 0.0
    if receiver.input == "v":
        change = layer.norm_attention(sent[names[0]]) - layer.norm_attention(clean[names[0]])
        value = float((layer.value.weight[unit] ** 2).sum()) / change.shape[-1]
        for row in range(len(pairs)):
            for token in range(int(pairs.end[row]) + 1):
                for key in range(token + 1):
                    for head in heads:
                        seen = float(clean[names[1]][row, head, token, key])
                        slope = float(gradient[row, token, head].norm() / size[row, token])
                        total += seen * slope * float((change[row, key] ** 2).sum()) * value
        return total * gain**0.5
    patched = clean[site].clone()
    patched[:, :, unit] = sent[site][:, :, unit]
    z = run(bridge, pairs.clean, [zs[receiver.head.layer]], {site: patched})
    change = z[zs[receiver.head.layer]] - clean_z
    for row in range(len(pairs)):
        for token in range(int(pairs.end[row]) + 1):
            g, d = gradient[row, token, heads], change[row, token, heads]
            total += float(g.norm() * (d**2).sum() / size[row, token])
    return total * gain**0.5


@pytest.mark.parametrize("family", FAMILIES)
def test_sizes_equal_the_formula(family: str) -> None:
    bridge, pairs = shared_model(family), ragged_pairs()
    with torch.no_grad():
        clean, corrupted = (
            float(logit_diff(bridge(t)[torch.arange(len(pairs)), pairs.end], pairs).sum())
            for t in (pairs.clean, pairs.corrupted)
        )
    remainders = swept(family).remainders
    for name, sender in (("1.2.q", "0.1"), ("2.1.q", "1.3"), ("2.3.k", "0.2"), ("1.0.v", "0.3")):
        receiver, head = Receiver.parse(name), Head.parse(sender)
        expected = looped(family, receiver, head) / abs(clean - corrupted)
        found = float(remainders.effects(receiver)[head.layer, head.index])
        assert expected > 1e-6
        assert found == pytest.approx(expected, rel=1e-3), (name, sender)


@pytest.mark.parametrize("family", FAMILIES)
def test_sizes_are_there_where_effects_are_and_zero_for_the_logits(family: str) -> None:
    found = swept(family)
    sizes = found.remainders.values
    assert torch.equal(sizes.isnan(), found.effects.values.isnan())
    assert (sizes.nan_to_num() >= 0).all()
    assert (found.remainders.into(Receiver.logits()) == 0).all()
    assert (sizes[:-1].nan_to_num() > 0).sum() > 0.9 * found.remainders.n_known - N_LAYERS * N_HEADS


@pytest.mark.parametrize("head_input", ["q", "k"])
def test_sizes_are_of_second_order_in_the_change_and_first_in_the_gradient(
    llama, head_input: str
) -> None:
    layer, draw = LayeredModel.of(llama).layers[1], torch.Generator().manual_seed(0)
    heads = list(range(N_HEADS))
    change, gradient = torch.randn(2, 7, N_HEADS, 8, generator=draw).unbind()
    resid = torch.randn(7, 32, generator=draw)
    weights = token_weights(layer, head_input, heads, gradient, resid)
    sizes = remainder_sizes(layer, head_input, change[None], weights)
    assert sizes.shape == (1, 7, 4 if head_input == "q" else 2)
    for s in (0.1, -3.0):
        scaled = remainder_sizes(layer, head_input, s * change[None], weights)
        torch.testing.assert_close(scaled, s**2 * sizes)
        steeper = token_weights(layer, head_input, heads, s * gradient, resid)
        torch.testing.assert_close(steeper, abs(s) * weights)
        larger = token_weights(layer, head_input, heads, gradient, s * resid)
        torch.testing.assert_close(larger, weights / abs(s))


@pytest.mark.parametrize("family", ["qwen3", "gemma3", "attention-only"])
def test_memory_changes_no_size(family: str) -> None:
    whole, split = swept(family).remainders, swept(family, 1).remainders
    torch.testing.assert_close(split.values, whole.values, equal_nan=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_errors_are_of_the_order_of_the_remainder(family: str) -> None:
    """Curvature, their ratio: below 1.3 on every family when written, with a median above 0.04."""
    found, pieces = swept(family), []
    for name in ("1.0.q", "1.2.k", "1.1.v", "2.3.q", "2.0.k", "2.2.v"):
        receiver = Receiver.parse(name)
        exact = path_effects(shared_model(family), ragged_pairs(), receiver)
        error = (exact - found.effects.effects(receiver)).abs() - 2e-6
        size = found.remainders.effects(receiver)
        pieces.append((error.clamp(min=0) / size)[~exact.isnan()])
    curvatures = torch.cat(pieces)
    assert float(curvatures.quantile(0.95)) < 2
    assert float(curvatures.max()) < 4
    assert float(curvatures.median()) > 0.01, "a size that bounds nothing tightly helps nobody"
