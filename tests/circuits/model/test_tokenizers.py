"""Tokenizers keep their own conventions, whatever TransformerLens does to its copy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from circuits.errors import ModelError
from circuits.model.loading import load_model
from circuits.model.tokenizers import load_tokenizer, tokenizer_of

WORDS = ["<s>", "</s>", "<unk>", "the", "cat", "sat"]
THE_CAT = [3, 4]


def make_tokenizer(starts: bool = False) -> PreTrainedTokenizerFast:
    """Build a tokenizer of six words; with `starts` its own convention is to begin with <s>."""
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    backend = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    if starts:
        backend.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def save(directory: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    config = LlamaConfig(
        vocab_size=101,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
    )
    LlamaForCausalLM(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save(tmp_path / "model", make_tokenizer())


def users_bridge(directory: Path, tokenizer: PreTrainedTokenizerFast | None) -> TransformerBridge:
    model = AutoModelForCausalLM.from_pretrained(directory, attn_implementation="eager")
    return build_bridge_from_module(
        model, "LlamaForCausalLM", hf_config=model.config, tokenizer=tokenizer
    )


def test_a_loaded_bridge_gives_its_tokenizer_back(checkpoint: Path) -> None:
    bridge = load_model(checkpoint)
    tokenizer = tokenizer_of(bridge)
    assert tokenizer("the cat").input_ids == THE_CAT
    assert tokenizer.pad_token is None
    assert bridge.tokenizer("the cat").input_ids == [0, *THE_CAT]
    assert tokenizer_of(bridge) is tokenizer


def test_a_tokenizer_loads_without_its_model(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    assert load_tokenizer(checkpoint)("the cat").input_ids == THE_CAT


def test_a_tokenizer_keeps_a_start_token_of_its_own(tmp_path: Path) -> None:
    directory = save(tmp_path / "model", make_tokenizer(starts=True))
    expected = [0, *THE_CAT]
    assert load_tokenizer(directory)("the cat").input_ids == expected
    assert tokenizer_of(load_model(directory))("the cat").input_ids == expected


def test_a_users_bridge_gets_its_tokenizer_read_again(checkpoint: Path) -> None:
    bridge = users_bridge(checkpoint, load_tokenizer(checkpoint))
    assert bridge.tokenizer("the cat").input_ids == [0, *THE_CAT]
    assert tokenizer_of(bridge)("the cat").input_ids == THE_CAT


def test_a_users_bridge_whose_files_are_gone(checkpoint: Path) -> None:
    bridge = users_bridge(checkpoint, load_tokenizer(checkpoint))
    shutil.rmtree(checkpoint)
    assert tokenizer_of(bridge)("the cat").input_ids == THE_CAT
    assert bridge.tokenizer("the cat").input_ids == [0, *THE_CAT]


def test_files_that_hold_another_vocabulary_are_left_alone(checkpoint: Path) -> None:
    bridge = users_bridge(checkpoint, load_tokenizer(checkpoint))
    path = checkpoint / "tokenizer.json"
    path.write_text(path.read_text().replace('"cat"', '"dog"'))
    assert tokenizer_of(bridge)("the cat").input_ids == THE_CAT


def test_a_bridge_without_a_tokenizer(checkpoint: Path) -> None:
    with pytest.raises(ModelError, match="has no tokenizer: pass token ids"):
        tokenizer_of(users_bridge(checkpoint, None))


def test_a_checkpoint_without_a_tokenizer(checkpoint: Path) -> None:
    for path in checkpoint.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ModelError, match="has no tokenizer"):
        load_tokenizer(checkpoint)


def test_a_broken_tokenizer(checkpoint: Path) -> None:
    (checkpoint / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer in .* cannot be read"):
        load_tokenizer(checkpoint)


def test_a_tokenizer_that_loads_and_cannot_be_used(tmp_path: Path) -> None:
    make_tokenizer(starts=True).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(LlamaConfig(vocab_size=len(WORDS)).to_json_string())
    assert load_tokenizer(tmp_path)("the cat")["input_ids"] == [0, *THE_CAT]
    second = {"Sequence": {"id": "B", "type_id": 0}}
    changes = {
        "tokenizer.json": lambda of: of["post_processor"]["single"].append(second),
        "tokenizer_config.json": lambda of: of.update(model_max_length={"a": 1}),
    }
    for name, change in changes.items():
        file = tmp_path / name
        content = json.loads(before := file.read_text())
        change(content)
        file.write_text(json.dumps(content))
        with pytest.raises(ModelError, match=f"{tmp_path} cannot be read .*: download the model"):
            load_tokenizer(tmp_path)
        file.write_text(before)


@pytest.mark.real
def test_the_default_tokenizer_adds_no_start_token() -> None:
    tokenizer = load_tokenizer()
    ids = tokenizer("When Mary and John went to the store").input_ids
    assert [tokenizer.decode([index]) for index in ids[:3]] == ["When", " Mary", " and"]
    assert [tokenizer.decode([index]) for index in tokenizer("1732").input_ids] == list("1732")
