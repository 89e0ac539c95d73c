"""What attention adds for positions: rotary embeddings, and biases of attention scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from circuits.forward.devices import device_of


@dataclass(frozen=True, eq=False)
class RotaryTable:
    """Cosines and sines of rotary position embeddings, one for each pair of entries of a head.

    Attributes:
        cos: The cosines; what lies behind the last pair of a head is not rotated.
        sin: The sines.
        neighbours: Whether neighbouring entries are a pair, or one half's and the other half's.

    """

    cos: Float[Tensor, "pos pair"]
    sin: Float[Tensor, "pos pair"]
    neighbours: bool = False

    def rotate(
        self, x: Float[Tensor, "*batch token head d_head"], positions: Int[Tensor, " token"]
    ) -> Float[Tensor, "*batch token head d_head"]:
        """Rotate the first entries of each head (all of them in most families)."""
        cos = rearrange(self.cos[positions], "token pair -> token 1 pair")
        sin = rearrange(self.sin[positions], "token pair -> token 1 pair")
        width = 2 * cos.shape[-1]
        turned, kept = x[..., :width], x[..., width:]
        layout = "(pair two)" if self.neighbours else "(two pair)"
        first, second = rearrange(turned, f"... {layout} -> two ... pair", two=2)
        both = torch.stack([first * cos - second * sin, second * cos + first * sin])
        turned = rearrange(both, f"two ... pair -> ... {layout}").to(x.dtype)
        return torch.cat([turned, kept], dim=-1) if kept.shape[-1] else turned


@dataclass(frozen=True, eq=False)
class _Tables:
    """What one layer's attention adds for positions."""

    rotary: RotaryTable | None = None
    biases: Float[Tensor, "pos head"] | None = None


class PositionTables:
    """Every layer's tables, recorded from the model's own forward pass.

    Recording asks nothing of how a family computes them (scaling, two bases, partial rotation,
    layers without). Biases are what attention scores are where all queries are zero.
    """

    def __init__(self, bridge: TransformerBridge) -> None:
        self._bridge = bridge
        self._tables: dict[int, _Tables] = {}
        self._length = 0
        self._rotary = any(name.endswith("attn.hook_cos") for name in bridge.hook_dict)
        kind = getattr(bridge.cfg, "positional_embedding_type", None)
        self.has_biases = kind == "alibi"
        self._needed = self._rotary or self.has_biases or kind == "rotary"

    def reserve(self, length: int) -> None:
        """Make every layer's tables cover at least `length` positions."""
        if self._needed and length > self._length:
            # The first position has one angle for all pairs, which says nothing of their layout.
            self._record(max(length, 2))

    def rotary(self, layer: int) -> RotaryTable | None:
        """The rotary table of one layer, as long as was reserved; None where nothing is rotated.

        Raises RuntimeError where nothing was reserved: no forward pass began with `embed`.
        """
        return self._of(layer).rotary

    def biases(self, layer: int) -> Float[Tensor, "pos head"] | None:
        """What is added to attention scores for the position of a key. Raises as `rotary`."""
        return self._of(layer).biases

    def _of(self, layer: int) -> _Tables:
        if self._needed and not self._length:
            raise RuntimeError("no positions are reserved: begin with LayeredModel.embed")
        return self._tables.get(layer, _Tables())

    def _record(self, length: int) -> None:
        found: dict[tuple[int, str], Tensor] = {}

        def keep(layer: int, name: str) -> Callable[..., None]:
            def hook(value: Tensor, hook: object) -> None:
                found[layer, name] = value.detach()[0]

            return hook

        names = (["cos", "sin"] if self._rotary else []) + ["attn_scores"] * self.has_biases
        layers = range(len(self._bridge.blocks))
        hooks: list[Any] = [
            (f"blocks.{layer}.attn.hook_{name}", keep(layer, name))
            for layer in layers
            for name in names
        ]
        if self.has_biases:
            hooks += [(f"blocks.{layer}.attn.hook_q", _nothing) for layer in layers]
        tokens = torch.zeros(1, length, dtype=torch.long, device=device_of(self._bridge))
        with torch.no_grad():
            self._bridge.run_with_hooks(tokens, fwd_hooks=hooks)
        self._tables = {layer: self._read(layer, found) for layer in layers}
        self._length = length

    def _read(self, layer: int, found: dict[tuple[int, str], Tensor]) -> _Tables:
        scores = found.get((layer, "attn_scores"))
        # The last query sees every key.
        biases = None if scores is None else rearrange(scores[:, -1], "head pos -> pos head")
        attention = self._bridge.blocks[layer].attn.original_component
        device = device_of(self._bridge.blocks[layer])
        if (layer, "cos") in found:
            rotary = self._angles(*(found[layer, name].to(device) for name in ("cos", "sin")))
        elif (own := getattr(attention, "embed_positions", None)) is not None:
            # Attention that keeps its own table has each angle once, sines first.
            sin, cos = own.to(device).chunk(2, dim=-1)
            rotary = RotaryTable(cos, sin, neighbours=True)
        else:
            rotary = None
        return _Tables(rotary, biases)

    def _angles(
        self, cos: Float[Tensor, "pos d_rotary"], sin: Float[Tensor, "pos d_rotary"]
    ) -> RotaryTable:
        """The table without repetitions: most families have every angle twice."""
        config = self._bridge.cfg
        if getattr(config, "rotary_interleaved_cos_sin", False):
            return RotaryTable(cos[:, ::2], sin[:, ::2], neighbours=True)
        neighbours = bool(getattr(config, "rotary_adjacent_pairs", False))
        half = cos.shape[-1] // 2
        twice = torch.equal(cos[:, :half], cos[:, half:])
        if twice and torch.equal(sin[:, :half], sin[:, half:]):
            cos, sin = cos[:, :half], sin[:, :half]
        return RotaryTable(cos, sin, neighbours)


def _nothing(value: Tensor, hook: object) -> Tensor:
    return torch.zeros_like(value)
