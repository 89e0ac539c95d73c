"""Attribution against gradients and head outputs taken by hooks, and against what it predicts."""

from __future__ import annotations

import pytest
import torch

from circuits.forward import Activations, LayeredModel
from circuits.forward.passes import at_end
from circuits.metrics import logit_diff
from circuits.scores import attribution_scores
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES
from tests.circuits.patching.slow_twin import metric_gradient, run
from tests.circuits.prompts import ragged_pairs


def scores_of(family: str, pairs) -> torch.Tensor:
    model = LayeredModel.of(shared_model(family))
    return attribution_scores(Activations(model, pairs, logit_diff))


@pytest.mark.parametrize("family", FAMILIES)
def test_is_the_gradient_times_the_change(family: str) -> None:
    bridge, pairs = shared_model(family), ragged_pairs(6)
    expected = []
    for layer in range(bridge.cfg.n_layers):
        name = f"blocks.{layer}.attn.hook_z"
        gradient, clean = metric_gradient(bridge, pairs, name, logit_diff)
        change = run(bridge, pairs.corrupted, [name])[name] - clean
        expected.append((change * gradient).sum((1, 3)).abs().mean(0))
    found = scores_of(family, pairs)
    assert torch.stack(expected).max() > 1e-3
    assert torch.allclose(found, torch.stack(expected), rtol=2e-3, atol=1e-5)


def test_predicts_what_a_small_change_of_one_head_does() -> None:
    """A hundredth of the way to the corrupted output does a hundredth of it."""
    bridge, pairs = shared_model("llama"), ragged_pairs(1)
    found, name, part = scores_of("llama", pairs), "blocks.1.attn.hook_z", 1e-2
    clean, corrupted = (run(bridge, t, [name])[name] for t in (pairs.clean, pairs.corrupted))
    metrics = []
    for sign in (1, -1):
        moved = clean.clone()
        moved[:, :, 2] += sign * part * (corrupted - clean)[:, :, 2]
        with torch.no_grad():
            hooks = [(name, lambda z, hook, moved=moved: moved)]
            logits = bridge.run_with_hooks(pairs.clean, fwd_hooks=hooks)
        metrics.append(float(logit_diff(at_end(logits, pairs), pairs)))
    slope = abs(metrics[0] - metrics[1]) / (2 * part)
    assert float(found[1, 2]) == pytest.approx(slope, rel=0.05)


def test_prompts_do_not_cancel() -> None:
    """The mean over prompts of their own scores, which have no sign."""
    pairs = ragged_pairs(4)
    alone = [scores_of("gpt2", pairs[row : row + 1]) for row in range(4)]
    assert torch.allclose(scores_of("gpt2", pairs), torch.stack(alone).mean(0), atol=1e-5)
