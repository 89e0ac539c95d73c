"""What blocks may do that the pieces do not: named, before anything is compared.

Some of it shows on long prompts alone, where the comparison of `check_reproduces` does not look.
"""

from __future__ import annotations

from typing import Any


def refuse_unknown(block: Any, index: int) -> None:
    """Refuse a block of a bridge that does what no `Layer` does.

    Raises:
        NotImplementedError: It says what that is.

    """
    whole, attention = block.original_component, block.attn.original_component
    config = getattr(attention, "config", None)
    kinds = getattr(config, "layer_types", None) or ()
    clips = getattr(attention, "clip_qkv", None) or getattr(config, "clip_qkv", None)
    doubled = getattr(config, "alibi", False) and getattr(attention, "beta", 1.0) != 1.0
    tunes = getattr(attention, "attn_temperature_tuning", False)
    reasons = {
        "a block adds an input made for its layer alone": "per_layer_input_gate" in block._modules,
        "values are normalised, and the pieces take them for linear in what heads read": (
            "v_norm" in block.attn._modules
        ),
        "queries, keys and values are clipped": bool(clips),
        "attention sees chunks of the prompt": "chunked_attention" in kinds[index : index + 1],
        "queries are scaled by their position where nothing is rotated": bool(tunes),
        "eager attention in transformers adds its ALiBi twice, which the other does once": doubled,
        "norms stand on the residual stream itself": (
            getattr(whole, "do_layer_norm_before", True) is False
            or getattr(whole, "apply_residual_connection_post_layernorm", False)
        ),
    }
    for reason, applies in reasons.items():
        if applies:
            raise NotImplementedError(reason)
