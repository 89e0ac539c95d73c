"""What heads look at and write, one at a time, with hooks on the bridge."""

from __future__ import annotations

import warnings

import torch
from transformer_lens.model_bridge import TransformerBridge

from circuits.components import Head
from circuits.metrics import logit_diff
from circuits.tasks import PromptPairs


def attention(bridge: TransformerBridge, tokens, head: Head):
    """The attention pattern of a head on one prompt, as nested lists."""
    with torch.no_grad():
        _, cache = bridge.run_with_cache(tokens[None])
    return cache[f"blocks.{head.layer}.attn.hook_pattern"][0, head.index].tolist()


def direct_effect(bridge: TransformerBridge, pairs: PromptPairs, row: int, head: Head) -> float:
    """What the logit difference loses without what a head writes, every norm's scale held."""
    alone = pairs[row : row + 1]
    end = int(alone.end)
    tokens = alone.clean[:, : end + 1]
    with torch.no_grad():
        clean, cache = bridge.run_with_cache(tokens)
    block, last = f"blocks.{head.layer}", f"blocks.{len(bridge.blocks) - 1}.hook_resid_post"
    d_head = bridge.cfg.d_head
    without = {f"{block}.attn.o.hook_in": _silence(slice(head.index * d_head, None), d_head)}
    changed = _run(bridge, tokens, cache, without, f"{block}.hook_attn_out")
    written = cache[f"{block}.hook_attn_out"] - changed
    resid = cache[last].clone()
    resid[:, end] -= written[:, end]
    logits = _run(bridge, tokens, cache, {last: lambda value: resid}, None)
    return (logit_diff(clean[:, end], alone) - logit_diff(logits[:, end], alone)).item()


def _silence(start: slice, d_head: int):
    def edit(value):
        silent = value.clone()
        flat = silent.flatten(2)
        flat[..., start.start : start.start + d_head] = 0
        return flat.reshape(value.shape)

    return edit


def _run(bridge, tokens, cache, edits, kept):
    """Run with edits and with the scales of the clean run; return the logits or what was kept."""
    found = []
    held = {
        name: lambda value, name=name: cache[name]
        for name in cache
        if name == "ln_final.hook_scale" or name.endswith("ln1_post.hook_scale")
    }
    hooks = [
        (name, lambda value, hook, edit=edit: edit(value)) for name, edit in (held | edits).items()
    ]
    if kept is not None:
        hooks.append((kept, lambda value, hook: found.append(value)))
    with torch.no_grad(), warnings.catch_warnings():
        # The bridge says that it computes a norm by itself where its scale is given.
        warnings.filterwarnings("ignore", message="A forward hook edited hook_scale")
        logits = bridge.run_with_hooks(tokens, fwd_hooks=hooks)
    return logits if kept is None else found[0]
