"""A model's identity: the same for the same weights, another for any other."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import xxhash
from transformer_lens.model_bridge import TransformerBridge
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from circuits.errors import MismatchError, ModelError
from circuits.graph import ModelGraph
from circuits.model import load_model, model_of
from circuits.model.identity import ModelIdentity, check_weights, identify, in_use
from circuits.model.tokenizers import remember_tokenizer
from tests.circuits.families import tiny_model
from tests.circuits.prompts import word_tokenizer


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


class TestGraph:
    @pytest.mark.parametrize("parallel", [None, False, True])
    @pytest.mark.parametrize("mlps", ["path", "nodes"])
    def test_is_that_of_its_shape(self, parallel: bool | None, mlps: str) -> None:
        """Runs saved before it was noted do not know whether MLPs run beside heads."""
        identity = ModelIdentity("tiny", "Llama", 3, 4, 2, 32, 8, "float32", "00", parallel)
        assert identity.graph(mlps) == ModelGraph(3, 4, 2, bool(parallel), mlps)


class TestFindingItAgain:
    def test_the_model_in_use(self, checkpoint: Path) -> None:
        bridge = load_model(checkpoint)
        identity = identify(bridge)
        assert in_use(identity) == [bridge]
        assert model_of(identity) is bridge

    def test_a_twin_that_is_gone_takes_nothing_with_it(self, checkpoint: Path) -> None:
        bridge, twin = load_model(checkpoint), load_model(checkpoint)
        identity = identify(bridge)
        assert identify(twin) == identity
        assert in_use(identity) == [bridge, twin]
        del twin
        gc.collect()
        assert in_use(identity) == [bridge]

    @pytest.mark.parametrize("last", [0, 1])
    def test_of_twins_the_one_that_was_used_last(self, checkpoint: Path, last: int) -> None:
        twins = load_model(checkpoint), load_model(checkpoint)
        identities = [identify(twin) for twin in twins]
        identify(twins[last])
        assert in_use(identities[0]) == [twins[1 - last], twins[last]]
        assert model_of(identities[0]) is twins[last]

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_of_twins_the_one_that_reads_text(self, order: tuple[int, int]) -> None:
        twins = tiny_model("gemma3"), tiny_model("gemma3")
        remember_tokenizer(twins[1], word_tokenizer())
        identity, _ = (identify(twins[n]) for n in order)
        assert model_of(identity) is twins[1]

    def test_loaded_by_its_name_where_it_is_not_in_use(self, checkpoint: Path) -> None:
        bridge = load_model(checkpoint, dtype="float64")
        identity = identify(bridge)
        del bridge
        gc.collect()
        assert in_use(identity) == []
        again = model_of(identity)
        assert identify(again) == identity
        assert again.cfg.dtype == torch.float64

    def test_a_model_that_was_changed_is_not_the_one(self, checkpoint: Path) -> None:
        bridge = load_model(checkpoint)
        identity = identify(bridge)
        with torch.no_grad():
            bridge.blocks[0].mlp.out.weight[0, 0] += 1
        assert in_use(identity) == []
        again = model_of(identity)
        assert again is not bridge
        assert identify(again) == identity

    def test_other_weights_behind_its_name_are_refused(self, checkpoint: Path) -> None:
        other = replace(identify(load_model(checkpoint)), weight_hash="f" * 32)
        with pytest.raises(MismatchError, match=r"discovered on .* with weights f{12}, but"):
            model_of(other)
        with pytest.raises(MismatchError, match="load the same model and pass it"):
            check_weights(load_model(checkpoint), other)

    def test_a_name_that_nothing_goes_by_any_more(self, checkpoint: Path) -> None:
        identity = replace(identify(load_model(checkpoint)), name=str(checkpoint / "gone"))
        with pytest.raises(ModelError, match="gone"):
            model_of(identity)
