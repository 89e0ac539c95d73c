"""A model in pieces against the model itself."""

from __future__ import annotations

import pytest
import torch

from circuits.forward import LayeredModel
from circuits.forward.passes import run_layers
from tests.circuits.families import FAMILIES, N_HEADS, N_LAYERS, tiny_model
from tests.circuits.patching.slow_twin import run as record

TOKENS = torch.randint(101, (3, 17), generator=torch.Generator().manual_seed(3))


def own_logits(bridge, tokens=TOKENS) -> torch.Tensor:
    with torch.no_grad():
        return bridge(tokens)


def logits_in_pieces(bridge, tokens=TOKENS) -> torch.Tensor:
    with torch.no_grad():
        model = LayeredModel.of(bridge)
        return model.unembed(run_layers(model, tokens)[1])


class TestForwardPass:
    def test_logits(self, bridge) -> None:
        expected = own_logits(bridge)
        found = logits_in_pieces(bridge)
        assert expected.std() > 0.1
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("length", [1, 2, 5, 40])
    def test_any_length_in_any_order(self, bridge, length: int) -> None:
        """Rotary tables are recorded once and grown; a window of 4 is shorter than most."""
        tokens = torch.arange(2 * length).reshape(2, length) % 101
        torch.testing.assert_close(
            logits_in_pieces(bridge, tokens), own_logits(bridge, tokens), rtol=1e-4, atol=1e-4
        )

    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize(("dtype", "share"), [(torch.bfloat16, 0.1), (torch.float64, 1e-6)])
    def test_other_dtypes(self, family: str, dtype: torch.dtype, share: float) -> None:
        bridge = tiny_model(family).to(dtype)
        expected, found = own_logits(bridge), logits_in_pieces(bridge)
        assert found.dtype == dtype
        assert (found - expected).abs().max() <= share * expected.std()

    def test_head_outputs_and_residual_streams(self, bridge, layered) -> None:
        names = {
            f"blocks.{layer}.{hook}": (layer, part)
            for layer in range(N_LAYERS)
            for hook, part in (("attn.hook_z", "z"), ("hook_resid_pre", "resid_pre"))
        }
        kept = record(bridge, TOKENS, list(names))
        with torch.no_grad():
            records, final = run_layers(layered, TOKENS)
        for name, (layer, part) in names.items():
            found = getattr(records[layer], part)
            torch.testing.assert_close(found, kept[name], rtol=1e-4, atol=1e-4)
        last = f"blocks.{N_LAYERS - 1}.hook_resid_post"
        expected = record(bridge, TOKENS, [last])[last]
        torch.testing.assert_close(final, expected, rtol=1e-4, atol=1e-4)

    def test_shapes(self, bridge, layered) -> None:
        sizes = (layered.n_layers, layered.n_heads, layered.d_model)
        assert sizes == (N_LAYERS, N_HEADS, 32)
        assert layered.n_kv_heads == (getattr(bridge.cfg, "n_key_value_heads", None) or N_HEADS)


class TestPieces:
    @pytest.fixture
    def layered(self, bridge) -> LayeredModel:
        """Pieces that can be asked for any of ten positions."""
        model = LayeredModel.of(bridge)
        model.tables.reserve(10)
        return model

    def test_positions_are_reserved_first(self) -> None:
        layer = LayeredModel.of(tiny_model("llama")).layers[0]
        with pytest.raises(RuntimeError, match="no positions are reserved"):
            layer.queries(torch.randn(2, 6, 32), torch.arange(6))

    def test_some_heads_are_columns_of_all(self, layered) -> None:
        normed = torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(1))
        positions = torch.arange(6)
        for layer in layered.layers:
            every = layer.queries(normed, positions)
            torch.testing.assert_close(
                layer.queries(normed, positions, [3, 1]), every[:, :, [3, 1]]
            )
            kv = [layer.n_kv_heads - 1, 0]
            keys, values = layer.keys(normed, positions), layer.values(normed)
            torch.testing.assert_close(layer.keys(normed, positions, kv), keys[:, :, kv])
            torch.testing.assert_close(layer.values(normed, kv), values[:, :, kv])

    def test_some_positions_are_rows_of_all(self, layered) -> None:
        normed = torch.randn(2, 9, 32, generator=torch.Generator().manual_seed(1))
        some = torch.tensor([7, 2, 2])
        for layer in layered.layers:
            for project in (layer.queries, layer.keys):
                every = project(normed, torch.arange(9))
                torch.testing.assert_close(project(normed[:, some], some), every[:, some])

    def test_output_is_the_sum_over_heads(self, layered) -> None:
        z = torch.randn(2, 5, N_HEADS, 8, generator=torch.Generator().manual_seed(1))
        for layer in layered.layers:
            heads = list(range(N_HEADS))
            bias = 0 if layer.output.bias is None else layer.output.bias
            shares = layer.output.per_head(z, heads)
            assert shares.shape == (N_HEADS, 2, 5, 32)
            torch.testing.assert_close(shares.sum(0) + bias, layer.output(z), rtol=0, atol=1e-5)
            part = layer.output.of_heads(z[:, :, [2, 0]], [2, 0])
            torch.testing.assert_close(part, shares[2] + shares[0], rtol=0, atol=1e-5)

    def test_key_value_heads(self, layered) -> None:
        layer = layered.layers[0]
        shared = [0, 0, 1, 1] if layer.n_kv_heads == 2 else [0, 1, 2, 3]
        assert [layer.kv_head(head) for head in range(N_HEADS)] == shared

    def test_senders_may_be_a_batch_dimension(self, layered) -> None:
        resid = torch.randn(3, 2, 6, 32, generator=torch.Generator().manual_seed(1))
        layer, positions = layered.layers[2], torch.arange(6)
        allowed = layer.allowed(positions.expand(2, -1), 6)

        def attend(resid):
            normed = layer.norm_attention(resid)
            return layer.attend(
                layer.queries(normed, positions),
                layer.keys(normed, positions),
                layer.values(normed),
                allowed,
            )

        one_by_one = torch.stack([attend(each) for each in resid])
        torch.testing.assert_close(attend(resid), one_by_one, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("family", ["llama", "gemma3"])
    def test_allowed(self, family: str) -> None:
        """Not the future; in gemma3's first and last layer nothing more than 3 back."""
        layers = LayeredModel.of(tiny_model(family)).layers
        windows = [4, None, 4] if family == "gemma3" else [None] * 3
        positions = torch.tensor([[0, 3, 8], [5, 5, 1]])
        for layer, window in zip(layers, windows, strict=True):
            allowed = layer.allowed(positions, 9)
            for prompt, slots in enumerate(positions.tolist()):
                for slot, position in enumerate(slots):
                    lowest = 0 if window is None else max(0, position - window + 1)
                    expected = list(range(lowest, position + 1))
                    assert allowed[prompt, slot].nonzero()[:, 0].tolist() == expected
