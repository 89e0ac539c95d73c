"""A model's identity: the same for the same weights, another for any other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import xxhash
from transformer_lens.model_bridge import TransformerBridge
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from circuits.model.identity import identify
from circuits.model.loading import load_model


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    config = LlamaConfig(
        vocab_size=101,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    return tmp_path


def test_name_and_shape(checkpoint: Path) -> None:
    identity = identify(load_model(checkpoint))
    assert identity.name == str(checkpoint)
    assert identity.architecture == "LlamaForCausalLM"
    assert (identity.n_layers, identity.n_heads, identity.n_kv_heads) == (2, 4, 2)
    assert (identity.d_model, identity.d_head, identity.dtype) == (32, 8, "float32")
    assert len(identity.weight_hash) == 32


def test_every_head_has_its_own_keys_without_grouping(tmp_path: Path) -> None:
    GPT2LMHeadModel(GPT2Config(vocab_size=101, n_embd=32, n_layer=2, n_head=4)).save_pretrained(
        tmp_path
    )
    identity = identify(load_model(tmp_path))
    assert (identity.n_heads, identity.n_kv_heads, identity.d_head) == (4, 4, 8)


def test_the_same_weights_have_the_same_identity(checkpoint: Path) -> None:
    assert identify(load_model(checkpoint)) == identify(load_model(checkpoint))


def test_dtype_and_weights_are_part_of_the_hash(checkpoint: Path) -> None:
    first = identify(load_model(checkpoint)).weight_hash
    assert identify(load_model(checkpoint, dtype="bfloat16")).weight_hash != first


def test_a_changed_weight_changes_the_hash(checkpoint: Path) -> None:
    bridge = load_model(checkpoint)
    before = identify(bridge).weight_hash
    with torch.no_grad():
        weight = bridge.blocks[1].mlp.out.weight
        weight[0, 0] += 1
        assert identify(bridge).weight_hash != before
        weight[0, 0] -= 1


def test_the_hash_is_kept(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = load_model(checkpoint)
    first = identify(bridge)
    monkeypatch.setattr(xxhash, "xxh3_128", lambda: pytest.fail("hashed again"))
    assert identify(bridge) == first


def test_a_native_bridge_has_an_identity() -> None:
    from transformer_lens.config import TransformerBridgeConfig

    config = TransformerBridgeConfig(
        d_model=16, d_head=4, n_layers=1, n_ctx=8, n_heads=4, d_vocab=11, d_mlp=32, act_fn="gelu"
    )
    identity = identify(TransformerBridge.boot_native(config))
    assert (identity.n_layers, identity.n_heads, identity.n_kv_heads) == (1, 4, 4)
