"""Tiny random models of the families that are studied, as transformers makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformers import PreTrainedModel

from benchmarks.plain_hooks import AS_IN_LLAMA, Places

SIZES = {
    "vocab_size": 101,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
GROUPED = {**SIZES, "num_key_value_heads": 2}
GPT = {"vocab_size": 101, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}
_ALTERNATING = {
    "sliding_window": 4,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}
_MULTIPLIERS = {
    "embedding_multiplier": 3.0,
    "residual_multiplier": 0.5,
    "attention_multiplier": 0.5,
    "logits_scaling": 2.0,
}
_EXPERTS = {"num_experts_per_tok": 2}
_LOCAL, _MANY = {**_EXPERTS, "num_local_experts": 4}, {**_EXPERTS, "num_experts": 4}
_ROPE_BY_POSITION = {
    "rope_type": "yarn",
    "rope_theta": 1e4,
    "factor": 8.0,
    "original_max_position_embeddings": 8,
    "llama_4_scaling_beta": 0.5,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
}


@dataclass(frozen=True)
class Family:
    """A family of models: what it has that Llama has not, and a tiny one.

    Attributes:
        name: As it is known.
        takes: What the forward pass in pieces must do for it.
        kind: What its classes in transformers begin with.
        settings: Of its configuration.
        places: Where its parts are.

    """

    name: str
    takes: str
    kind: str
    settings: dict[str, Any]
    places: Places = AS_IN_LLAMA

    def model(self) -> PreTrainedModel:
        """A tiny model of random weights, the same every time."""
        torch.manual_seed(0)
        whole = getattr(transformers, f"{self.kind}Config", None)
        config: Any = getattr(transformers, f"{self.kind}TextConfig", whole)
        made = getattr(transformers, f"{self.kind}ForCausalLM")(config(**self.settings))
        made.set_attn_implementation("eager")
        with torch.no_grad():
            for name, parameter in made.named_parameters():
                if parameter.ndim > 1:
                    parameter.normal_(std=0.25)
                elif name.endswith("weight"):
                    parameter.uniform_(0.5, 1.5)
                else:
                    parameter.normal_(std=0.5)
        return made.eval().requires_grad_(False)

    def bridge(self) -> TransformerBridge:
        """The same model, bridged."""
        model = self.model()
        return build_bridge_from_module(
            model, type(model).__name__, hf_config=model.config, model_name=self.name
        )


_FUSED = Places(
    "transformer.h", "self_attention", "query_key_value", output="dense", layout="by head"
)
_GPT_J = Places("transformer.h", "attn", output="out_proj")
_OVER_HEADS = Places(query="q_norm", key="k_norm")

FAMILIES = (
    Family("OLMo 2", "norms behind alone; norm of all heads", "Olmo2", GROUPED, _OVER_HEADS),
    Family(
        "OLMo 3",
        "the same, with windows and two rotary bases",
        "Olmo3",
        GROUPED | _ALTERNATING,
        _OVER_HEADS,
    ),
    Family("OLMo", "norms without weights", "Olmo", GROUPED),
    Family("OLMoE", "experts; norm of all heads", "Olmoe", GROUPED | _MANY, _OVER_HEADS),
    Family("Mixtral", "experts", "Mixtral", GROUPED | _LOCAL),
    Family(
        "Qwen2-MoE",
        "experts, one shared by all tokens",
        "Qwen2Moe",
        {
            **GROUPED,
            **_MANY,
            "moe_intermediate_size": 32,
            "shared_expert_intermediate_size": 32,
        },
    ),
    Family(
        "Qwen3-MoE",
        "experts; norm of each head",
        "Qwen3Moe",
        {**GROUPED, **_MANY, "moe_intermediate_size": 32, "head_dim": 8},
    ),
    Family(
        "GPT-J", "parallel, one norm; neighbours rotated", "GPTJ", GPT | {"rotary_dim": 4}, _GPT_J
    ),
    Family(
        "Phi",
        "parallel, one norm; half of a head rotated; biases",
        "Phi",
        {**SIZES, "partial_rotary_factor": 0.5},
        Places(output="dense"),
    ),
    Family(
        "Phi-3", "fused projections", "Phi3", GROUPED, Places(query="qkv_proj", layout="in turn")
    ),
    Family(
        "OPT",
        "learned positions; an MLP without a module",
        "OPT",
        {
            **SIZES,
            "ffn_dim": 64,
            "word_embed_proj_dim": 32,
        },
        Places("model.decoder.layers", output="out_proj"),
    ),
    Family("Granite", "multipliers", "Granite", GROUPED | _MULTIPLIERS),
    Family("GraniteMoE", "multipliers; experts", "GraniteMoe", GROUPED | _MULTIPLIERS | _LOCAL),
    Family(
        "Cohere",
        "parallel, one norm; logit scale; neighbours rotated; norm of each head, with its weights",
        "Cohere",
        GROUPED | {"logit_scale": 0.25, "use_qk_norm": True},
    ),
    Family(
        "Cohere 2",
        "the same without that norm; windows; layers without rotation",
        "Cohere2",
        GROUPED | _ALTERNATING | {"logit_scale": 0.25},
    ),
    Family(
        "GPT-Neo",
        "scores without a scale; windows in masks",
        "GPTNeo",
        {
            "vocab_size": 101,
            "hidden_size": 32,
            "num_layers": 3,
            "num_heads": 4,
            "max_position_embeddings": 64,
            "attention_types": [[["global", "local"], 1], [["global"], 1]],
            "window_size": 4,
        },
        Places("transformer.h", "attn.attention", output="out_proj"),
    ),
    Family("Falcon", "parallel, one norm; one key for all heads", "Falcon", SIZES, _FUSED),
    Family(
        "Bloom",
        "ALiBi; a norm of embeddings",
        "Bloom",
        SIZES | {"n_layer": 3, "n_head": 4},
        _FUSED,
    ),
    Family(
        "MPT",
        "ALiBi",
        "Mpt",
        {"vocab_size": 101, "d_model": 32, "n_layers": 3, "n_heads": 4, "max_seq_len": 64},
        Places("transformer.blocks", "attn", "Wqkv", output="out_proj", layout="in turn"),
    ),
    Family(
        "SmolLM3", "layers without rotation", "SmolLM3", GROUPED | {"no_rope_layers": [1, 0, 1]}
    ),
    Family("GLM", "neighbours in half of a head rotated", "Glm", GROUPED | {"head_dim": 8}),
    Family("GLM-4", "the same; norms in front and behind", "Glm4", GROUPED | {"head_dim": 8}),
    Family(
        "GPT-OSS",
        "attention sinks; experts; windows",
        "GptOss",
        {**GROUPED, **_LOCAL, **_ALTERNATING, "head_dim": 8},
    ),
    Family(
        "Exaone 4",
        "norms behind alone; windows; layers without rotation",
        "Exaone4",
        GROUPED | _ALTERNATING,
    ),
    Family(
        "Ministral 3",
        "queries scaled by position",
        "Ministral3",
        GROUPED | {"head_dim": 8, "rope_parameters": _ROPE_BY_POSITION},
    ),
)
REFUSED = (
    Family("OLMo with clip_qkv", "", "Olmo", GROUPED | {"clip_qkv": 0.5}),
    Family("OPT-350m", "", "OPT", {**SIZES, "ffn_dim": 64, "word_embed_proj_dim": 16}),
    Family(
        "Bloom with its residual behind a norm",
        "",
        "Bloom",
        SIZES | {"n_layer": 3, "n_head": 4, "apply_residual_connection_post_layernorm": True},
    ),
    Family("Phi with norms of queries", "", "Phi", SIZES | {"qk_layernorm": True}),
    Family(
        "Falcon-40B",
        "",
        "Falcon",
        SIZES | {"new_decoder_architecture": True, "num_kv_heads": 2},
    ),
    Family(
        "Falcon-RW",
        "",
        "Falcon",
        {**SIZES, "alibi": True, "parallel_attn": False, "multi_query": False, "bias": True},
    ),
    Family(
        "Llama 4 (text)",
        "",
        "Llama4",
        {
            **GROUPED,
            "num_local_experts": 4,
            "head_dim": 8,
            "intermediate_size_mlp": 64,
            "layer_types": ["chunked_attention", "full_attention", "chunked_attention"],
            "attention_chunk_size": 8,
        },
    ),
    Family(
        "Gemma 4 (text)",
        "",
        "Gemma4",
        {
            **GROUPED,
            **_ALTERNATING,
            "head_dim": 8,
            "layer_types": ["sliding_attention", "full_attention", "full_attention"],
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": 101,
            "num_kv_shared_layers": 0,
        },
    ),
)
"""What is left out, each with a reason that its error says."""
