"""From a name or a path to a bridge that says what Hugging Face's model says."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformer_lens.model_bridge import TransformerBridge
from transformers import (
    AutoModelForCausalLM,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    BertLMHeadModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.utils import logging as transformers_logging

from circuits.errors import (
    ModelError,
    ModelOptionError,
    NotEnoughMemoryError,
    UnknownModelError,
    UnsupportedModelError,
)
from circuits.forward import check
from circuits.model import identify, loading
from circuits.model.catalogue import check_name
from circuits.model.loading import UnusedWeightsWarning, load_model
from circuits.model.native import word_tokenizer
from circuits.model.placement import Placement
from circuits.model.tokenizers import tokenizer_of

SIZES = {
    "vocab_size": 101,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
TOKENS = torch.arange(18).reshape(2, 9)


def tiny_llama() -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(**SIZES, num_key_value_heads=2))


def tiny_gpt2() -> PreTrainedModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=101, n_embd=32, n_layer=2, n_head=4))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    tiny_llama().save_pretrained(tmp_path / "llama")
    return tmp_path / "llama"


@pytest.mark.parametrize("build", [tiny_llama, tiny_gpt2])
@pytest.mark.parametrize("as_text", [True, False])
def test_logits_are_those_of_hugging_face(tmp_path: Path, build, as_text: bool) -> None:
    build().save_pretrained(tmp_path)
    reference = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    with torch.no_grad():
        expected = reference.eval()(TOKENS).logits
    bridge = load_model(str(tmp_path) if as_text else tmp_path, device="cpu")
    assert isinstance(bridge, TransformerBridge)
    torch.testing.assert_close(bridge(TOKENS), expected, rtol=0, atol=1e-6)


def test_the_model_is_ready_for_inference(checkpoint: Path) -> None:
    bridge = load_model(checkpoint)
    assert not bridge.training
    assert not any(parameter.requires_grad for parameter in bridge.parameters())
    assert bridge.original_model.config._attn_implementation == "eager"
    assert bridge.cfg.model_name == str(checkpoint)


def test_a_checkpoint_without_tokenizer_loads(checkpoint: Path) -> None:
    bridge = load_model(checkpoint)
    assert bridge.tokenizer is None
    with pytest.raises(ModelError, match="pass token ids"):
        tokenizer_of(bridge)


@pytest.mark.parametrize("dtype", ["bfloat16", torch.float16, "float64"])
def test_dtypes(checkpoint: Path, dtype: torch.dtype | str) -> None:
    expected = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    bridge = load_model(checkpoint, dtype=dtype, check=False)
    assert {parameter.dtype for parameter in bridge.parameters()} == {expected}
    assert bridge.cfg.dtype == expected
    assert bridge(TOKENS).dtype == expected


@pytest.mark.parametrize("dtype", ["float8", "fp32", torch.int64])
def test_a_wrong_dtype_is_refused(checkpoint: Path, dtype: torch.dtype | str) -> None:
    with pytest.raises(ModelOptionError, match="dtype must be one of float64, float32, bfloat16"):
        load_model(checkpoint, dtype=dtype)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta"])
def test_a_wrong_device_is_refused(checkpoint: Path, device: str) -> None:
    with pytest.raises(ModelOptionError, match=rf"device {device} .*give cpu"):
        load_model(checkpoint, device=device)


def test_options_are_checked_before_anything_is_downloaded() -> None:
    with pytest.raises(ModelOptionError):
        load_model("gpt2", dtype="float8")


def test_a_device_may_be_a_torch_device(checkpoint: Path) -> None:
    assert load_model(checkpoint, device=torch.device("cpu")).cfg.device == "cpu"


_ENCODERS = {
    "bert": lambda: BertForMaskedLM(BertConfig(**SIZES)),
    "roberta": lambda: RobertaForMaskedLM(RobertaConfig(**SIZES)),
    "t5": lambda: T5ForConditionalGeneration(
        T5Config(vocab_size=101, d_model=32, d_ff=64, num_layers=1, num_heads=4, d_kv=8)
    ),
    "bart": lambda: BartForConditionalGeneration(
        BartConfig(
            vocab_size=101,
            d_model=32,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
        )
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", _ENCODERS)
def test_encoders_are_refused_before_their_weights_are_read(
    tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _ENCODERS[family]()
    model.save_pretrained(tmp_path)
    monkeypatch.setattr(loading, "_read_weights", lambda *_: pytest.fail("read the weights"))
    with pytest.raises(UnsupportedModelError, match=type(model).__name__) as caught:
        load_model(tmp_path)
    assert "causal language model" in str(caught.value)


def test_an_encoder_with_a_causal_head_is_refused(tmp_path: Path) -> None:
    BertLMHeadModel(BertConfig(**SIZES)).save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModelError, match="BertLMHeadModel"):
        load_model(tmp_path)


def test_quantised_checkpoints_are_refused(checkpoint: Path) -> None:
    config = LlamaConfig.from_pretrained(checkpoint)
    config.quantization_config = {"quant_method": "gptq", "bits": 4}
    config.save_pretrained(checkpoint)
    with pytest.raises(UnsupportedModelError, match="quantised"):
        load_model(checkpoint)


def test_an_unknown_architecture_is_refused(checkpoint: Path) -> None:
    (checkpoint / "config.json").write_text('{"model_type": "never-heard-of"}')
    with pytest.raises(UnsupportedModelError, match="never-heard-of"):
        load_model(checkpoint)


def test_code_that_comes_with_a_checkpoint_is_not_run(checkpoint: Path) -> None:
    """Exaone before 4, for one, has no class in transformers."""
    (checkpoint / "modeling_exaone.py").write_text("raise SystemExit('this was run')")
    config = {"model_type": "exaone", "auto_map": {"AutoConfig": "modeling_exaone.ExaoneConfig"}}
    (checkpoint / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match="contains custom code"):
        load_model(checkpoint)


def test_a_model_that_is_not_reproduced_is_refused(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(bridge: TransformerBridge) -> float:
        raise UnsupportedModelError(f"{bridge.cfg.architecture} differs by 3")

    monkeypatch.setattr(check, "check_reproduces", refuse)
    with pytest.raises(UnsupportedModelError, match="LlamaForCausalLM differs by 3"):
        load_model(checkpoint)
    load_model(checkpoint, check=False)


def test_what_transformer_lens_cannot_wrap_is_refused(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("no adapter\nsecond line")

    monkeypatch.setattr(loading, "build_bridge_from_module", fail)
    with pytest.raises(UnsupportedModelError, match=r"a LlamaForCausalLM \(no adapter\)"):
        load_model(checkpoint)


def test_broken_weights_say_so(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ModelError, match=r"weights of .* cannot be read"):
        load_model(checkpoint)
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"weights of .* cannot be read"):
        load_model(checkpoint)


def edit(file: Path, **fields: object) -> None:
    data = json.loads(file.read_text()) | fields
    file.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"vocab_size": "many"}, r"cannot read the configuration .*'vocab_size': .*expected int"),
        ({"architectures": 7}, "llama. is not a causal language model"),
        ({"num_hidden_layers": 10**12}, "announces num_hidden_layers 1000000000000 of width 32"),
        ({"vocab_size": 10**9}, "announces vocab_size 1000000000 of width 32"),
        ({"num_attention_heads": 10**30}, "cannot read the configuration .*not a multiple"),
        ({"hidden_act": "none of them"}, "none of them"),
        ({"rope_parameters": {"rope_type": "none of them", "rope_theta": 1.0}}, "."),
    ],
)
def test_wrong_values_in_a_config_are_told_as_such(checkpoint: Path, fields, said) -> None:
    """Each of them ended in another error of a library, or took all memory."""
    edit(checkpoint / "config.json", **fields)
    with pytest.raises(ModelError, match=said):
        load_model(checkpoint)


@pytest.mark.parametrize("content", ["[" * 10**5, "[1]", "7" * 5000, "{"])
def test_a_config_that_is_no_object_is_told_as_such(checkpoint: Path, content: str) -> None:
    (checkpoint / "config.json").write_text(content)
    with pytest.raises(UnsupportedModelError, match=r"config\.json is (no JSON|nested too deeply)"):
        load_model(checkpoint)


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        ("tokenizer.json", {"model": 7}),
        ("tokenizer.json", {"version": []}),
        ("tokenizer_config.json", {"unk_token": 5}),
        ("tokenizer_config.json", {"tokenizer_class": 3}),
        ("tokenizer_config.json", {"added_tokens_decoder": "none"}),
    ],
)
def test_wrong_values_in_a_tokenizer_are_told_as_such(checkpoint: Path, file, fields) -> None:
    word_tokenizer(["a", "b"]).save_pretrained(checkpoint)
    edit(checkpoint / file, **fields)
    with pytest.raises(ModelError, match=r"the tokenizer in .* cannot be read"):
        load_model(checkpoint)


def test_a_pipe_among_the_files_is_not_waited_for(checkpoint: Path) -> None:
    os.mkfifo(checkpoint / "tokenizer.json")
    with pytest.raises(ModelError, match=r"tokenizer\.json is no regular file"):
        load_model(checkpoint)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] can't allocate memory: 9 bytes")]
)
def test_too_little_memory_is_told_as_that(checkpoint: Path, monkeypatch, error) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(loading.AutoModelForCausalLM, "from_pretrained", fail)
    with pytest.raises(NotEnoughMemoryError, match="there is too little memory"):
        load_model(checkpoint)


def test_missing_weights_are_not_made_up(checkpoint: Path) -> None:
    tensors = load_file(checkpoint / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 of its weights \(.*up_proj"):
        load_model(checkpoint)


def with_tensors(checkpoint: Path, more: dict[str, torch.Tensor]) -> None:
    tensors = load_file(checkpoint / "model.safetensors")
    save_file({**tensors, **more}, checkpoint / "model.safetensors", metadata={"format": "pt"})


UNUSED = {
    "biases that the config does not announce": (
        {f"model.layers.{layer}.self_attn.q_proj.bias": torch.ones(32) for layer in range(2)},
        r"weights of .*llama are not used \(2 of them, .*\.0\.self_attn\.q_proj\.bias for one\)",
    ),
    "a layer too many": (
        {"model.layers.2.mlp.up_proj.weight": torch.ones(64, 32)},
        r"weights of .* are not used \(1 of them, model\.layers\.2\.mlp\.up_proj\.weight for one\)",
    ),
}


@pytest.mark.parametrize("kind", UNUSED)
def test_weights_that_are_not_used_are_named(checkpoint: Path, kind: str) -> None:
    tensors, said = UNUSED[kind]
    with_tensors(checkpoint, tensors)
    with pytest.warns(UnusedWeightsWarning, match=said):
        load_model(checkpoint)


def test_what_older_versions_saved_beside_the_weights_is_no_weight(checkpoint: Path) -> None:
    names = ("rotary_emb.inv_freq", "masked_bias")
    with_tensors(checkpoint, {f"model.layers.0.self_attn.{name}": torch.ones(4) for name in names})
    load_model(checkpoint)


@pytest.mark.parametrize("name", ["lora_A.weight", "lora_B.default.weight", "base_layer.weight"])
def test_an_adapter_among_the_weights_is_refused(checkpoint: Path, name: str) -> None:
    with_tensors(checkpoint, {f"model.layers.0.self_attn.q_proj.{name}": torch.ones(8, 32)})
    with pytest.raises(
        ModelError, match=rf"an adapter among them .1 of them, .*{name} .* merge it"
    ):
        load_model(checkpoint)


def test_an_adapter_beside_the_weights_is_refused(checkpoint: Path) -> None:
    (checkpoint / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"has an adapter beside its weights .* merge it first"):
        load_model(checkpoint)
    (checkpoint / "config.json").unlink()
    with pytest.raises(UnknownModelError, match=r"is an adapter without its model: merge it first"):
        load_model(checkpoint)


def test_loading_is_silent(checkpoint: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_model(checkpoint)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert transformers_logging.is_progress_bar_enabled()


def test_the_cpu_is_the_default_without_a_gpu(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load_model(checkpoint).cfg.device == "cpu"


@pytest.mark.skipif(sys.platform == "win32", reason="the cache's permissions differ")
@pytest.mark.real
def test_the_default_model_does_the_task() -> None:
    bridge = load_model("smollm2-135m", device="cpu")
    tokenizer = tokenizer_of(bridge)
    prompt = "When Mary and John went to the store, John gave a drink to"
    tokens = torch.tensor([tokenizer(prompt).input_ids])
    assert tokenizer.decode(tokens[0, :1]) == "When"
    probabilities = bridge(tokens)[0, -1].softmax(-1)
    (mary,) = tokenizer(" Mary").input_ids
    (john,) = tokenizer(" John").input_ids
    assert probabilities[mary] > 0.6
    assert probabilities[mary] > 10 * probabilities[john]
    assert (bridge.cfg.n_layers, bridge.cfg.n_heads, bridge.cfg.n_key_value_heads) == (30, 9, 3)


def test_a_model_without_a_name_is_not_the_working_directory(tiny, monkeypatch) -> None:
    monkeypatch.chdir(tiny)
    with pytest.raises(UnknownModelError, match="the name of the model is empty"):
        load_model("")
    with pytest.raises(UnknownModelError, match="the name of the model is empty"):
        check_name("")


class TestSpread:
    @pytest.mark.parametrize(
        "device",
        [
            "auto",
            {"": "cpu"},
            {
                "model.embed_tokens": "cpu",
                "model.layers.0": "cpu",
                "model.layers.1": "cpu",
                "model.norm": "cpu",
                "model.rotary_emb": "cpu",
                "lm_head": "cpu",
            },
        ],
    )
    def test_it_is_the_same_model(self, checkpoint: Path, device) -> None:
        spread, alone = load_model(checkpoint, device=device), load_model(checkpoint)
        torch.testing.assert_close(spread(TOKENS), alone(TOKENS))
        assert identify(spread).weight_hash == identify(alone).weight_hash

    @pytest.mark.parametrize("device", ["cuda:99", "disk", "meta", 99])
    def test_a_device_that_is_not_here_is_refused(self, checkpoint: Path, device) -> None:
        with pytest.raises(ModelOptionError, match=r"device .* give cpu"):
            load_model(checkpoint, device={"model.layers.0": "cpu", "": device})

    def test_layers_that_are_nowhere_are_refused(self) -> None:
        with torch.device("meta"):
            model = tiny_llama()
        with pytest.raises(ModelOptionError, match="tiny does not fit in the memory of the devic"):
            Placement.of("auto", torch.float32).place(model, "tiny")
