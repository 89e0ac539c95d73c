"""Reading the pieces of each block from a TransformerBridge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformer_lens.model_bridge import TransformerBridge
from transformers.pytorch_utils import Conv1D


@dataclass(frozen=True, eq=False)
class Projection:
    """From the residual stream to heads."""

    weight: Float[Tensor, "head d_head d_model"]
    bias: Float[Tensor, "head d_head"] | None

    def __call__(
        self, x: Float[Tensor, "*batch d_model"], heads: list[int] | None = None
    ) -> Float[Tensor, "*batch chosen d_head"]:
        weight = self.weight if heads is None else self.weight[heads]
        bias = self.bias if heads is None or self.bias is None else self.bias[heads]
        flat = functional.linear(
            x,
            rearrange(weight, "head d_head d_model -> (head d_head) d_model"),
            None if bias is None else rearrange(bias, "head d_head -> (head d_head)"),
        )
        return rearrange(flat, "... (head d_head) -> ... head d_head", head=weight.shape[0])


@dataclass(frozen=True, eq=False)
class ProjectionOut:
    """From heads back to the residual stream."""

    weight: Float[Tensor, "head d_head d_model"]
    bias: Float[Tensor, " d_model"] | None

    def __call__(self, z: Float[Tensor, "*batch head d_head"]) -> Float[Tensor, "*batch d_model"]:
        flat = rearrange(self.weight, "head d_head d_model -> d_model (head d_head)")
        return functional.linear(
            rearrange(z, "... head d_head -> ... (head d_head)"), flat, self.bias
        )

    def of_heads(
        self, z: Float[Tensor, "*batch chosen d_head"], heads: list[int]
    ) -> Float[Tensor, "*batch d_model"]:
        """The share of some heads, without the bias."""
        return einsum(z, self.weight[heads], "... head d_head, head d_head d_model -> ... d_model")

    def per_head(
        self, z: Float[Tensor, "*batch chosen d_head"], heads: list[int]
    ) -> Float[Tensor, "chosen *batch d_model"]:
        """The share of each of some heads on its own, heads first."""
        return einsum(
            z, self.weight[heads], "... head d_head, head d_head d_model -> head ... d_model"
        )


@dataclass(frozen=True, eq=False)
class RotaryTable:
    """Cosines and sines of rotary position embeddings, in the layout of halves."""

    cos: Float[Tensor, "pos d_rotary"]
    sin: Float[Tensor, "pos d_rotary"]

    def rotate(
        self, x: Float[Tensor, "*batch token head d_head"], positions: Int[Tensor, " token"]
    ) -> Float[Tensor, "*batch token head d_head"]:
        """Rotate the first d_rotary entries of each head (all of them in most families)."""
        positions = positions.to(self.cos.device)
        cos = rearrange(self.cos[positions], "token d -> token 1 d")
        sin = rearrange(self.sin[positions], "token d -> token 1 d")
        turned, kept = x[..., : cos.shape[-1]], x[..., cos.shape[-1] :]
        first, second = turned.chunk(2, dim=-1)
        turned = turned * cos + torch.cat([-second, first], dim=-1) * sin
        return torch.cat([turned, kept], dim=-1) if kept.shape[-1] else turned


class RotaryTables:
    """Every layer's rotary table, recorded from the model's own forward pass.

    Recording asks nothing of how a family computes them (scaling, two bases, partial rotation).
    """

    def __init__(self, bridge: TransformerBridge) -> None:
        self._bridge = bridge
        self._tables: dict[int, RotaryTable] = {}
        self._length = 0
        self._rotary = any(name.endswith("attn.hook_cos") for name in bridge.hook_dict)

    def reserve(self, length: int) -> None:
        """Make every layer's table cover at least `length` positions."""
        if self._rotary and length > self._length:
            self._record(length)

    def table(self, layer: int) -> RotaryTable | None:
        """The table of one layer, as long as was reserved; None without rotation.

        Raises RuntimeError where nothing was reserved: no forward pass began with `embed`.
        """
        if not self._rotary:
            return None
        if not self._length:
            raise RuntimeError("no positions are reserved: begin with LayeredModel.embed")
        return self._tables[layer]

    def _device(self, layer: int) -> torch.device:
        """Where a layer's weights are."""
        return next(self._bridge.blocks[layer].parameters()).device

    def _record(self, length: int) -> None:
        found: dict[tuple[int, str], Tensor] = {}

        def keep(layer: int, name: str) -> Callable[..., None]:
            def hook(value: Tensor, hook: object) -> None:
                found[layer, name] = value.detach()[0]

            return hook

        layers = range(len(self._bridge.blocks))
        hooks: list[Any] = [
            (f"blocks.{layer}.attn.hook_{name}", keep(layer, name))
            for layer in layers
            for name in ("cos", "sin")
        ]
        tokens = torch.zeros(1, length, dtype=torch.long, device=device_of(self._bridge))
        with torch.no_grad():
            self._bridge.run_with_hooks(tokens, fwd_hooks=hooks)
        self._tables = {
            n: RotaryTable(*(found[n, name].to(self._device(n)) for name in ("cos", "sin")))
            for n in layers
            if (n, "cos") in found
        }
        self._length = length


def device_of(bridge: TransformerBridge) -> torch.device:
    """Where a model reads tokens, and gives logits; its layers may be on others."""
    return next(bridge.parameters()).device


def devices_of(bridge: TransformerBridge) -> tuple[torch.device, ...]:
    """Every device that weights are on, that of the tokens first."""
    return tuple(dict.fromkeys(weight.device for weight in bridge.parameters()))


@dataclass(frozen=True, eq=False)
class Entering:
    """A module that what comes from another device is brought to first."""

    module: nn.Module
    device: torch.device

    def __call__(self, x: Tensor) -> Tensor:
        """Run it where its weights are."""
        return self.module(x.to(self.device))


def entering(module: Any, bridge: TransformerBridge) -> Callable[[Tensor], Tensor]:
    """A module as it is, or for a model on several devices one that is entered from any."""
    own = next((weight.device for weight in module.parameters()), None)
    return module if own is None or len(devices_of(bridge)) == 1 else Entering(module, own)


def layer_parts(bridge: TransformerBridge, tables: RotaryTables) -> Iterator[dict[str, Any]]:
    """The keyword arguments of each `Layer`. Raises where a block lacks a piece."""
    for index, block in enumerate(bridge.blocks):
        attention = block.attn
        n_heads = bridge.cfg.n_heads
        n_kv_heads = getattr(bridge.cfg, "n_key_value_heads", None) or n_heads
        original = attention.original_component
        yield {
            "query": _projection(attention.q, n_heads),
            "key": _projection(attention.k, n_kv_heads),
            "value": _projection(attention.v, n_kv_heads),
            "output": _output_projection(attention.o, n_heads),
            "norm_attention": entering(_raw(block.ln1), bridge),
            "norm_query": _optional(attention, "q_norm"),
            "norm_key": _optional(attention, "k_norm"),
            "norm_attention_output": _optional(block, "ln1_post"),
            "norm_mlp": _optional(block, "ln2"),
            "mlp": _optional(block, "mlp"),
            "norm_mlp_output": _optional(block, "ln2_post"),
            "rotary": lambda index=index: tables.table(index),
            "scale": _scale(original, bridge.cfg.d_head),
            "soft_cap": getattr(original, "attn_logit_softcapping", None),
            "window": _window(original, index),
            "parallel": has_parallel_mlp(bridge),
        }


def architecture_of(bridge: TransformerBridge) -> str:
    """The class of a bridge's model."""
    return getattr(bridge.cfg, "architecture", None) or type(bridge.original_model).__name__


def vocabulary_of(bridge: TransformerBridge) -> tuple[int, int]:
    """How many tokens a model embeds, and how many it has logits for."""
    modules: tuple[Any, Any] = bridge.embed.original_component, bridge.unembed.original_component
    return modules[0].weight.shape[0], modules[1].weight.shape[0]


def has_parallel_mlp(bridge: TransformerBridge) -> bool:
    """Whether a layer's MLP reads what its heads read, and not what they write."""
    return bool(getattr(bridge.cfg, "parallel_attn_mlp", False))


def _optional(parent: nn.Module, name: str) -> nn.Module | None:
    module = parent._modules.get(name)
    return _raw(module) if isinstance(module, nn.Module) else None


def _raw(module: Any) -> nn.Module:
    # The bridge's wrappers keep their last input alive, which here is the state of all senders.
    return module.original_component


def _window(attention: nn.Module, layer: int) -> int | None:
    """Positions that a layer sees back to; None for all. The module says, or its config."""
    if hasattr(attention, "sliding_window"):
        return attention.sliding_window  # type: ignore[return-value]
    config = getattr(attention, "config", None)
    layer_types = getattr(config, "layer_types", None)
    if layer_types is not None and layer_types[layer] != "sliding_attention":
        return None
    return getattr(config, "sliding_window", None)


def _scale(attention: nn.Module, d_head: int) -> float:
    scaling = getattr(attention, "scaling", None)
    return float(scaling) if scaling is not None else d_head**-0.5


def _weight_and_bias(module: Any) -> tuple[Float[Tensor, "out in"], Float[Tensor, " out"] | None]:
    linear = module.original_component
    if isinstance(linear, Conv1D):
        return linear.weight.detach().T, linear.bias.detach()
    if type(linear) is nn.Linear:
        return linear.weight.detach(), None if linear.bias is None else linear.bias.detach()
    raise TypeError(f"projection {module.name!r} is a {type(linear).__name__}, not a linear map")


def _projection(module: Any, n_heads: int) -> Projection:
    weight, bias = _weight_and_bias(module)
    return Projection(
        rearrange(weight, "(head d_head) d_model -> head d_head d_model", head=n_heads),
        None if bias is None else rearrange(bias, "(head d_head) -> head d_head", head=n_heads),
    )


def _output_projection(module: Any, n_heads: int) -> ProjectionOut:
    weight, bias = _weight_and_bias(module)
    split = rearrange(weight, "d_model (head d_head) -> head d_head d_model", head=n_heads)
    return ProjectionOut(split, bias)
