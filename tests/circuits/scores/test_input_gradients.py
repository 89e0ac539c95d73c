"""EAP-IG's scores of heads against gradients taken by hooks on interpolated embeddings."""

from __future__ import annotations

import pytest
import torch

from circuits.errors import InputError
from circuits.forward import Activations
from circuits.forward.passes import at_end
from circuits.metrics import logit_diff
from circuits.scores import input_gradient_scores
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES
from tests.circuits.patching.slow_twin import run
from tests.circuits.prompts import ragged_pairs

EMBEDDED = "blocks.0.hook_in"


@pytest.mark.parametrize("family", FAMILIES)
def test_is_the_mean_gradient_times_the_change(family: str) -> None:
    bridge, pairs, steps = shared_model(family), ragged_pairs(6), 3
    names = [f"blocks.{layer}.attn.hook_z" for layer in range(bridge.cfg.n_layers)]
    clean, corrupted = (run(bridge, t, [EMBEDDED, *names]) for t in (pairs.clean, pairs.corrupted))
    total = [torch.zeros_like(clean[name]) for name in names]
    for step in range(1, steps + 1):
        start = torch.lerp(corrupted[EMBEDDED], clean[EMBEDDED], step / steps)
        for layer, name in enumerate(names):
            total[layer] += gradient_of(bridge, pairs, start, name) / steps
    expected = torch.stack(
        [
            ((clean[name] - corrupted[name]) * mean).sum((1, 3)).mean(0)
            for name, mean in zip(names, total, strict=True)
        ]
    )
    found = input_gradient_scores(Activations(bridge, pairs, logit_diff), steps)
    assert expected.abs().max() > 1e-3
    assert torch.allclose(found, expected, rtol=2e-3, atol=1e-5)


def gradient_of(bridge, pairs, start: torch.Tensor, name: str) -> torch.Tensor:
    kept: list[torch.Tensor] = []

    def keep(z, hook):
        kept.append(z.detach().requires_grad_())
        return kept[-1]

    hooks = [(EMBEDDED, lambda resid, hook: start), (name, keep)]
    with torch.enable_grad():
        logits = bridge.run_with_hooks(pairs.clean, fwd_hooks=hooks)
        logit_diff(at_end(logits, pairs), pairs).sum().backward()
    assert kept[0].grad is not None
    return kept[0].grad


def test_without_steps() -> None:
    activations = Activations(shared_model("llama"), ragged_pairs(2))
    with pytest.raises(InputError, match="at least one step, got 0"):
        input_gradient_scores(activations, 0)
