"""RelP and GIM against their rules as hooks on the bridge."""

from __future__ import annotations

import pytest
import torch

from circuits.components import Receiver
from circuits.edge_scores import edge_scores
from circuits.errors import UnsupportedModelError
from circuits.forward import Activations, LayeredModel
from circuits.masking import MaskedRuns
from circuits.metrics import prob_diff
from circuits.patching.reference import receiver_site
from tests.circuits.conftest import shared_model
from tests.circuits.edge_scores.slow_twin import ByHand, Hooks
from tests.circuits.families import FAMILIES, tiny_model
from tests.circuits.prompts import ragged_pairs

PAIRS = ragged_pairs(2)
pytestmark = pytest.mark.filterwarnings("ignore:A forward hook edited hook_scale")


def constant_scales(bridge) -> Hooks:
    return {name: torch.Tensor.detach for name in bridge.hook_dict if name.endswith("hook_scale")}


def half(value: torch.Tensor) -> torch.Tensor:
    return value / 2 + value.detach() / 2


def quarter(value: torch.Tensor) -> torch.Tensor:
    return value / 4 + 3 * value.detach() / 4


def products_of_mlps(bridge, constant_activations: bool) -> Hooks:
    """At what each MLP's last projection reads: activation(pre), times a linear map if gated."""
    found: Hooks = {}
    for layer in range(bridge.cfg.n_layers):
        name = f"blocks.{layer}.mlp"
        if f"{name}.out.hook_in" not in bridge.hook_dict:
            continue
        is_gated = f"{name}.gate.hook_out" in bridge.hook_dict
        kept: dict[str, torch.Tensor] = {}
        for site in ("gate", "in") if is_gated else ("in",):

            def keep(value, kept=kept, site=site):
                kept[site] = value
                return value

            found[f"{name}.{site}.hook_out"] = keep

        def put(value, kept=kept, is_gated=is_gated):
            if constant_activations:
                way = torch.stack(list(kept.values())).prod(0)
                value = way * (value / way).detach()
            return half(value) if is_gated else value

        found[f"{name}.out.hook_in"] = put
    return found


def by_hand(family: str, rules: Hooks) -> torch.Tensor:
    bridge = shared_model(family)
    graph = LayeredModel.of(bridge).graph("nodes")
    hand = ByHand(bridge, PAIRS, graph, prob_diff, rules)
    runs = MaskedRuns(Activations(bridge, PAIRS, prob_diff))
    scores = hand.scores(hand.embedded(1.0)).detach()
    return scores.masked_fill(~runs.every_edge.bool()[..., None], torch.nan)


def assert_are(scores: torch.Tensor, expected: torch.Tensor) -> None:
    size = float(expected.nan_to_num().abs().max())
    torch.testing.assert_close(scores, expected, rtol=2e-3, atol=2e-4 * size, equal_nan=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_relp(family: str) -> None:
    bridge = shared_model(family)
    rules = constant_scales(bridge) | products_of_mlps(bridge, constant_activations=True)
    found = edge_scores(bridge, PAIRS, "relp", prob_diff).values
    assert_are(found, by_hand(family, rules))


class Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores):
        ctx.save_for_backward(scores)
        return torch.exp(scores - scores.logsumexp(-1, keepdim=True))

    @staticmethod
    def backward(ctx, slope):
        scores = ctx.saved_tensors[0] / 2
        pattern = torch.exp(scores - scores.logsumexp(-1, keepdim=True))
        return torch.einsum("...k,...kj->...j", slope, torch.diag_embed(pattern)) - (
            (slope * pattern).sum(-1, keepdim=True) * pattern
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_gim(family: str, monkeypatch) -> None:
    bridge = shared_model(family)
    found = edge_scores(bridge, PAIRS, "gim", prob_diff).values
    rules = constant_scales(bridge) | products_of_mlps(bridge, constant_activations=False)
    for layer in range(bridge.cfg.n_layers):
        for part, share in (("q", quarter), ("k", quarter), ("v", half)):
            site, _ = receiver_site(bridge, Receiver.parse(f"{layer}.0.{part}"))
            rules[site] = share

    def softmax(scores, dim=-1, **kwargs):
        return Softmax.apply(scores) if scores.ndim == 4 else exact(scores, dim, **kwargs)

    exact = torch.Tensor.softmax
    with monkeypatch.context() as patch:
        # What metrics take of logits has no four dimensions.
        for place in (torch, torch.nn.functional, torch.Tensor):
            patch.setattr(place, "softmax", softmax)
        assert_are(found, by_hand(family, rules))


def test_they_differ_from_eap_and_from_each_other(llama) -> None:
    first, second, third = (
        edge_scores(llama, PAIRS, name, prob_diff).values.nan_to_num()
        for name in ("eap", "relp", "gim")
    )
    assert not first.allclose(second, rtol=0.05)
    assert not second.allclose(third, rtol=0.05)


@pytest.mark.parametrize("name", ["relp", "gim"])
def test_experts_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedModelError, match="an MLP of experts"):
        edge_scores(tiny_model("GraniteMoE"), PAIRS, name)
