"""Reading the pieces of each block from a TransformerBridge."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge

from circuits.forward.devices import entering
from circuits.forward.head_norms import head_norm
from circuits.forward.mlps import block_mlp, residual_multiplier
from circuits.forward.projections import (
    TensorMap,
    n_outputs,
    projection_from,
    projection_to,
)
from circuits.forward.refusals import refuse_unknown
from circuits.forward.tables import PositionTables

Columns = tuple[str, int | slice]
"""A hook, and what of the third dimension of its value."""


def layer_parts(bridge: TransformerBridge, tables: PositionTables) -> Iterator[dict[str, Any]]:
    """The keyword arguments of each `Layer`. Raises where a block lacks a piece."""
    for index, block in enumerate(bridge.blocks):
        refuse_unknown(block, index)
        attention = block.attn
        original = attention.original_component
        n_heads, n_kv_heads = bridge.cfg.n_heads, _n_kv_heads(bridge, attention)
        parallel = has_parallel_mlp(bridge)
        norm_attention = entering(_norm_in_front(block, "ln1"), block, bridge)
        query, key = projection_to(attention.q, n_heads), projection_to(attention.k, n_kv_heads)
        yield {
            "query": query,
            "key": key,
            "value": projection_to(attention.v, n_kv_heads),
            "output": projection_from(attention.o, n_heads, residual_multiplier(block)),
            "norm_attention": norm_attention,
            "norm_query": head_norm(attention, "q_norm", query),
            "norm_key": head_norm(attention, "k_norm", key),
            "norm_attention_output": _optional(block, "ln1_post"),
            "norm_mlp": _norm_of_mlp(block, norm_attention, parallel),
            "mlp": block_mlp(block),
            "norm_mlp_output": _optional(block, "ln2_post"),
            "rotary": lambda index=index: tables.rotary(index),
            "biases": (lambda index=index: tables.biases(index)) if tables.has_biases else None,
            "sinks": _sinks(original),
            "scale": _scale(original),
            "query_multiplier": _query_multiplier(original),
            "soft_cap": getattr(original, "attn_logit_softcapping", None),
            "window": _window(original, index),
            "parallel": parallel,
        }


def n_kv_heads_of(bridge: TransformerBridge) -> int:
    """How many key/value heads each layer has."""
    return _n_kv_heads(bridge, bridge.blocks[0].attn)


def head_columns(bridge: TransformerBridge, layer: int, head_input: str, index: int) -> Columns:
    """Where a bridge has the q, k or v of one head, or of one key/value head.

    Behind a norm of all heads together, where there is one: in front of it, what is one head's
    would change the others'.
    """
    attention = bridge.blocks[layer].attn
    name = f"blocks.{layer}.attn.hook_{head_input}"
    n_heads = bridge.cfg.n_heads if head_input == "q" else _n_kv_heads(bridge, attention)
    projection = projection_to(getattr(attention, head_input), n_heads)
    norm = head_norm(attention, f"{head_input}_norm", projection)
    if norm is None or norm.span != "all heads":
        return name, index
    d_head = projection.weight.shape[1]
    return f"{name}_normed", slice(index * d_head, (index + 1) * d_head)


def architecture_of(bridge: TransformerBridge) -> str:
    """The class of a bridge's model."""
    return getattr(bridge.cfg, "architecture", None) or type(bridge.original_model).__name__


def vocabulary_of(bridge: TransformerBridge) -> tuple[int, int]:
    """How many tokens a model embeds, and how many it has logits for."""
    modules: tuple[Any, Any] = bridge.embed.original_component, bridge.unembed.original_component
    return modules[0].weight.shape[0], modules[1].weight.shape[0]


def logit_multiplier(bridge: TransformerBridge) -> float:
    """What logits are multiplied by behind the unembedding: asked where no cap bends them."""
    small = torch.tensor(2.0**-20, dtype=torch.float64)
    found = float(bridge.adapter.apply_output_logits_transform(small) / small)
    return 1.0 if isclose(found, 1.0, rel_tol=1e-9) else found


def has_parallel_mlp(bridge: TransformerBridge) -> bool:
    """Whether a layer's MLP reads what its heads read, and not what they write."""
    return bool(getattr(bridge.cfg, "parallel_attn_mlp", False))


def _optional(parent: nn.Module, name: str) -> nn.Module | None:
    module = parent._modules.get(name)
    return _raw(module) if isinstance(module, nn.Module) else None


def _raw(module: Any) -> nn.Module:
    # The bridge's wrappers keep their last input alive, which here is the state of all senders.
    return module.original_component


def _norm_in_front(block: Any, name: str) -> TensorMap:
    """The norm that is read through; nothing where the block has one behind instead."""
    norm = _optional(block, name)
    if norm is None and _optional(block, f"{name}_post") is None:
        raise AttributeError(f"a block has no norm {name}, neither in front nor behind")
    return nn.Identity() if norm is None else norm


def _norm_of_mlp(block: Any, norm_attention: TensorMap, parallel: bool) -> TensorMap | None:
    if "mlp" not in block._modules:
        return None
    # Beside attention, the MLP may read what attention reads.
    shared = parallel and "ln2" not in block._modules
    return norm_attention if shared else _norm_in_front(block, "ln2")


def _n_kv_heads(bridge: TransformerBridge, attention: Any) -> int:
    return n_outputs(attention.k) * bridge.cfg.n_heads // n_outputs(attention.q)


def _sinks(attention: nn.Module) -> Float[Tensor, " head"] | None:
    sinks = getattr(attention, "sinks", None)
    return sinks.detach() if isinstance(sinks, Tensor) else None


def _window(attention: nn.Module, layer: int) -> int | None:
    """Positions that a layer sees back to; None for all. The module says, or its config."""
    if not getattr(attention, "is_sliding", True):
        return None
    if hasattr(attention, "sliding_window"):
        return attention.sliding_window  # type: ignore[return-value]
    mask = getattr(attention, "bias", None)
    if isinstance(mask, Tensor) and mask.dtype == torch.bool:
        visible = int(mask[..., -1, :].sum())
        return visible if visible < mask.shape[-1] else None
    config = getattr(attention, "config", None)
    layer_types = getattr(config, "layer_types", None)
    if layer_types is not None and layer_types[layer] != "sliding_attention":
        return None
    return getattr(config, "sliding_window", None)


def _query_multiplier(attention: nn.Module) -> TensorMap | None:
    """What queries are multiplied by at their positions, in models made for very long prompts."""
    rope = getattr(getattr(attention, "config", None), "rope_parameters", None) or {}
    if not (beta := rope.get("llama_4_scaling_beta")):
        return None
    length = rope["original_max_position_embeddings"]
    return lambda positions: 1 + beta * torch.log1p(torch.floor(positions / length))


def _scale(attention: nn.Module) -> float:
    """What scores are multiplied by. Modules have it under one of several names, or do not scale.

    Whether it was found is seen where the pieces are compared with the model.
    """
    for name in ("scaling", "softmax_scale", "inv_norm_factor"):
        if isinstance(value := getattr(attention, name, None), float | int):
            return float(value)
    for name in ("scale_attn", "scale"):
        if isinstance(value := getattr(attention, name, None), float | int):
            return 1 / float(value)
    return 1.0
