"""The pieces that not every family has: tables by position, norms of heads, MLPs."""

from __future__ import annotations

import pytest
import torch

from benchmarks.families import FAMILIES, Family
from circuits.forward import LayeredModel
from circuits.forward.head_norms import HeadNorm
from circuits.forward.mlps import BlockMlp
from circuits.forward.passes import run_layers
from circuits.forward.patterns import patterns_by_layer
from circuits.forward.projections import Projection
from circuits.forward.tables import RotaryTable

BY_NAME = {family.name: family for family in FAMILIES}
POSITIONS = torch.arange(6)


def layered(name: str) -> LayeredModel:
    model = LayeredModel.of(BY_NAME[name].bridge())
    model.tables.reserve(16)
    return model


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_some_heads_are_columns_of_all(family: Family) -> None:
    """Also where a norm takes all heads together, and where heads have sinks or biases."""
    model = layered(family.name)
    normed = noise(2, 6, model.d_model)
    for layer in model.layers:
        heads, kv_heads = [3, 1], [layer.n_kv_heads - 1, 0]
        queries, keys = layer.queries(normed, POSITIONS), layer.keys(normed, POSITIONS)
        assert queries.shape[-1] == keys.shape[-1] >= 8
        some = layer.queries(normed, POSITIONS, heads)
        torch.testing.assert_close(some, queries[:, :, heads])
        some = layer.keys(normed, POSITIONS, kv_heads)
        torch.testing.assert_close(some, keys[:, :, kv_heads])


class TestRotaryTable:
    @pytest.mark.parametrize("neighbours", [False, True])
    def test_pairs_are_turned_by_their_angle_and_the_rest_is_kept(self, neighbours: bool) -> None:
        angles = noise(6, 2)
        x = noise(3, 6, 2, 7)
        turned = RotaryTable(angles.cos(), angles.sin(), neighbours).rotate(x, POSITIONS)
        assert torch.equal(turned[..., 4:], x[..., 4:])
        for pair in range(2):
            first, second = (2 * pair, 2 * pair + 1) if neighbours else (pair, pair + 2)
            given = torch.complex(x[..., first], x[..., second])
            expected = given * torch.polar(torch.ones(6), angles[:, pair])[:, None]
            found = torch.complex(turned[..., first], turned[..., second])
            torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("name", "rotated"),
    [
        ("SmolLM3", [True, False, True]),
        ("Cohere 2", [True, False, True]),
        ("Exaone 4", [True, False, True]),
        ("GPT-J", [True] * 3),
        ("Bloom", [False] * 3),
    ],
)
def test_which_layers_are_rotated(name: str, rotated: list[bool]) -> None:
    assert [layer.rotary() is not None for layer in layered(name).layers] == rotated


@pytest.mark.parametrize(
    ("name", "windows"),
    [("GPT-Neo", [None, 4, None]), ("GPT-OSS", [4, None, 4]), ("Exaone 4", [4, None, 4])],
)
def test_windows_are_found_wherever_a_family_has_them(name: str, windows: list[object]) -> None:
    assert [layer.window for layer in layered(name).layers] == windows


def test_alibi_grows_with_the_position_of_the_key() -> None:
    for layer in layered("Bloom").layers:
        assert layer.biases is not None
        steps = layer.biases()[1:] - layer.biases()[:-1]
        torch.testing.assert_close(
            steps, torch.tensor([2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8]).expand_as(steps)
        )


def test_a_sink_takes_a_share_of_attention() -> None:
    model = layered("GPT-OSS")
    tokens = torch.arange(12).reshape(2, 6)
    for pattern in patterns_by_layer(model, tokens):
        rows = pattern.sum(-1)
        assert (rows < 1).all()
        assert (rows > 0).all()


def test_a_norm_of_all_heads_is_of_one_vector() -> None:
    projection = Projection(noise(4, 8, 32), None)
    x = noise(5, 32)
    every = projection(x).flatten(-2)
    expected = (every / every.norm(dim=-1, keepdim=True)).unflatten(-1, (4, 8))
    norm = HeadNorm(lambda v: v / v.norm(dim=-1, keepdim=True), "all heads")
    torch.testing.assert_close(norm(projection, x, [2, 0]), expected[:, [2, 0]])
    alone = HeadNorm(norm.norm, "each head alike")(projection, x, [2])
    torch.testing.assert_close(alone.norm(dim=-1), torch.ones(5, 1))


class TestBlockMlp:
    @pytest.mark.parametrize("name", ["Mixtral", "GPT-OSS", "GraniteMoE", "OPT", "Bloom"])
    def test_states_may_have_any_dimensions(self, name: str) -> None:
        """Experts want three: packed rows ended in an error behind a check that had passed."""
        mlp = layered(name).layers[0].mlp
        assert mlp is not None
        x = noise(3, 2, 6, 32)
        expected = torch.stack([mlp(each) for each in x])
        torch.testing.assert_close(mlp(x), expected)
        torch.testing.assert_close(mlp(x[0, 0]), expected[0, 0])
        assert mlp(x[:0]).shape == (0, 2, 6, 32)

    def test_weights_are_of_the_experts_that_are_chosen(self) -> None:
        dense, chosen = 3 * 32 * 64, 2
        mlp = layered("Mixtral").layers[0].mlp
        assert mlp is not None
        router = 4 * 32
        assert mlp.n_weights == chosen * dense + router

    def test_a_multiplier(self) -> None:
        doubled = BlockMlp(lambda x: (x + 1, None), 2.0, 0)
        assert torch.equal(doubled(torch.ones(2, 3)), torch.full((2, 3), 4.0))


def test_the_router_chooses_anew_for_every_state() -> None:
    """With the experts of another state, the same MLP gives something else."""
    model = layered("Mixtral")
    tokens = torch.arange(12).reshape(2, 6)
    block = model.bridge.blocks[0].mlp.original_component
    with torch.no_grad():
        runs, _ = run_layers(model, tokens)
        flat = runs[1].resid_pre.reshape(-1, 32)
        _, _, chosen = block.gate(flat)
    assert len({tuple(sorted(row)) for row in chosen.tolist()}) > 1
