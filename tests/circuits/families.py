"""Tiny random models of every supported family."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from benchmarks.families import FAMILIES as STUDIED

VOCABULARY = 101
N_LAYERS = 3
N_HEADS = 4
_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": N_HEADS,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
_GROUPED = {**_SIZES, "num_key_value_heads": 2}


def _gpt2() -> PreTrainedModel:
    sizes = {"n_embd": 32, "n_layer": N_LAYERS, "n_head": N_HEADS, "n_positions": 64}
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCABULARY, bos_token_id=0, eos_token_id=0, **sizes)
    )


def _gemma3() -> PreTrainedModel:
    layer_types = ["sliding_attention", "full_attention", "sliding_attention"]
    return Gemma3ForCausalLM(
        Gemma3TextConfig(**_GROUPED, head_dim=8, sliding_window=4, layer_types=layer_types)
    )


_HUGGING_FACE: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt2": _gpt2,
    "gpt-neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**_SIZES, use_parallel_residual=True)),
    "gpt-neox-sequential": lambda: GPTNeoXForCausalLM(
        GPTNeoXConfig(**_SIZES, use_parallel_residual=False)
    ),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**_GROUPED)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**_GROUPED)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**_GROUPED, head_dim=8)),
    "gemma3": _gemma3,
}
FAMILIES = (*_HUGGING_FACE, "attention-only")
RARE = (
    "OLMo 3",
    "GPT-OSS",
    "Cohere",
    "Bloom",
    "GraniteMoE",
    "SmolLM3",
    "OPT",
    "Phi",
    "GPT-Neo",
    "Falcon",
    "Qwen2-MoE",
    "Ministral 3",
)
"""Of benchmarks.families: between them they have all that `FAMILIES` have not."""


def tiny_model(family: str, seed: int = 0) -> TransformerBridge:
    """A bridge with weights large enough that attention and norms matter."""
    for studied in STUDIED:
        if studied.name == family:
            return studied.bridge()
    torch.manual_seed(seed)
    if family == "attention-only":
        return _attention_only(seed)
    return bridge_of(_HUGGING_FACE[family](), f"tiny-{family}")


def deeper_model(n_layers: int) -> TransformerBridge:
    """A tiny llama of as many layers."""
    torch.manual_seed(0)
    return bridge_of(LlamaForCausalLM(LlamaConfig(**{**_GROUPED, "num_hidden_layers": n_layers})))


def bridge_of(model: PreTrainedModel, name: str = "tiny") -> TransformerBridge:
    """A bridge around a model whose weights are drawn anew, large."""
    model.set_attn_implementation("eager")
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.25)
            elif parameter_name.endswith("bias"):
                parameter.normal_(std=0.1)
    return build_bridge_from_module(
        model.eval().requires_grad_(False),
        type(model).__name__,
        hf_config=model.config,
        model_name=name,
    )


def _attention_only(seed: int) -> TransformerBridge:
    config = TransformerBridgeConfig(
        d_model=32,
        d_head=8,
        n_layers=N_LAYERS,
        n_ctx=64,
        n_heads=N_HEADS,
        d_vocab=VOCABULARY,
        attn_only=True,
        normalization_type="LN",
        positional_embedding_type="standard",
        seed=seed,
    )
    bridge = TransformerBridge.boot_native(config, model_name="tiny-attention-only")
    return bridge.eval().requires_grad_(False)
