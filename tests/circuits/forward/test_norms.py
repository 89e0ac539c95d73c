"""Norms as linear maps, against the norms themselves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from circuits.errors import ModelError
from circuits.forward.norms import HeldNorm

D_MODEL = 33


class OffsetNorm(nn.Module):
    """An RMS norm whose weights are kept as what they differ from 1 by."""

    def __init__(self):
        super().__init__()
        self.weight = torch.randn(D_MODEL)

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + self.weight)


def layer_norm():
    norm = nn.LayerNorm(D_MODEL)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm.requires_grad_(False)


def rms_norm():
    norm = nn.RMSNorm(D_MODEL, eps=0.0)
    nn.init.normal_(norm.weight)
    return norm.requires_grad_(False)


NORMS = {"layer": layer_norm, "rms": rms_norm, "offset": OffsetNorm, "none": nn.Identity}


@pytest.fixture(params=NORMS)
def norm(request):
    torch.manual_seed(0)
    return NORMS[request.param]()


def test_what_parts_become_adds_up_to_what_their_sum_becomes(norm):
    parts = torch.randn(4, 5, D_MODEL) + 1
    whole = parts.sum(0)
    held = HeldNorm.at(norm, whole)
    bias = getattr(norm, "bias", None)
    expected = norm(whole) - (0 if bias is None else bias)
    torch.testing.assert_close(held(parts).sum(0), expected)


def test_the_scale_is_that_of_each_row(norm):
    x = torch.randn(2, 5, D_MODEL) * torch.tensor([1.0, 100.0])[:, None, None]
    held = HeldNorm.at(norm, x)
    for row in range(2):
        alone = HeldNorm.at(norm, x[row])
        torch.testing.assert_close(held(x)[row], alone(x[row]))


@pytest.mark.parametrize("other", [nn.Tanh(), nn.Softmax(-1)])
def test_what_is_no_norm_is_refused(other):
    with pytest.raises(ModelError, match="neither a layer norm nor an RMS norm"):
        HeldNorm.at(other, torch.randn(3, D_MODEL))
