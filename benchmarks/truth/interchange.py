"""Interchange interventions: components of a model take the outputs they have on another prompt.

Strict interchange-intervention training (SIIT: Gupta et al. 2024, arXiv 2407.14494, section 3;
IIT: Geiger et al. 2022, arXiv 2112.00826): components that a variable of the causal model is
aligned with must change the answer as the variable does, and all others must not change it at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import softmax
from transformer_lens.model_bridge.sources.native import NativeModel

from benchmarks.truth.causal import NO_VARIABLE, CausalModel, Right
from circuits.components import Head, all_heads
from circuits.truth.ground import Interchange

Swap = Bool[Tensor, "prompt layer unit"]
"""Which components are swapped: the heads of each layer, and behind them its MLP."""
Outputs = list[tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class Alignment:
    """Which components carry out each variable.

    Attributes:
        heads: For each variable of the causal model, in its order, its head.
        mlps: Layers whose MLPs belong to the circuit. They carry no variable: they are never
            swapped, while all other MLPs must not matter.
        n_layers: Of the model.
        n_heads: Of each layer.
        has_mlps: Whether the model has MLPs at all.

    """

    heads: tuple[Head, ...]
    mlps: tuple[int, ...]
    n_layers: int
    n_heads: int
    has_mlps: bool

    def of_variable(self) -> Bool[Tensor, "variable layer unit"]:
        """The components that each variable is swapped with."""
        units = torch.zeros(len(self.heads), self.n_layers, self.n_heads + 1, dtype=torch.bool)
        for variable, head in enumerate(self.heads):
            units[variable, head.layer, head.index] = True
        return units

    def outside(self) -> Bool[Tensor, "unit layer unit"]:
        """Each component outside the circuit, on its own."""
        places = [
            (head.layer, head.index)
            for head in all_heads(self.n_layers, self.n_heads)
            if head not in self.heads
        ]
        if self.has_mlps:
            free = (layer for layer in range(self.n_layers) if layer not in self.mlps)
            places += [(layer, self.n_heads) for layer in free]
        units = torch.zeros(len(places), self.n_layers, self.n_heads + 1, dtype=torch.bool)
        for row, (layer, unit) in enumerate(places):
            units[row, layer, unit] = True
        return units


def run(
    model: NativeModel,
    tokens: Int[Tensor, "prompt pos"],
    swap: Swap | None = None,
    source: Outputs | None = None,
) -> tuple[Float[Tensor, "prompt token"], Outputs]:
    """Logits at the last position, and the outputs of all heads and MLPs.

    Components chosen by `swap` give what they gave in `source`.
    """
    positions = torch.arange(tokens.shape[1])
    resid = model.tok_embed(tokens) + model.pos(positions)  # type: ignore[misc]
    outputs: Outputs = []
    blocks: list[Any] = list(model.layers)
    for index, block in enumerate(blocks):
        z = _heads(block, resid)
        if swap is not None and source is not None:
            chosen = rearrange(swap[:, index, :-1], "prompt head -> prompt 1 head 1")
            z = torch.where(chosen, source[index][0], z)
        resid = resid + block.attn.o(rearrange(z, "prompt pos head d -> prompt pos (head d)"))
        added = None
        if hasattr(block, "mlp"):
            added = block.mlp(block.ln2(resid))
            theirs = None if source is None else source[index][1]
            if swap is not None and theirs is not None:
                added = torch.where(swap[:, index, -1, None, None], theirs, added)
            resid = resid + added
        outputs.append((z, added))
    return model.head(model.ln_out(resid[:, -1])), outputs


def _heads(
    block: Any, resid: Float[Tensor, "prompt pos d_model"]
) -> Float[Tensor, "prompt pos head d_head"]:
    attention = block.attn
    normed = block.ln1(resid)
    query, key, value = (
        rearrange(part(normed), "prompt pos (head d) -> prompt head pos d", head=attention.n_heads)
        for part in (attention.q, attention.k, attention.v)
    )
    hidden = torch.ones(resid.shape[1], resid.shape[1], dtype=torch.bool).triu(1)
    scores = query @ key.transpose(-1, -2) / attention.scale
    pattern = softmax(scores.masked_fill(hidden, -torch.inf), -1)
    return rearrange(pattern @ value, "prompt head pos d -> prompt pos head d")


def agrees(logits: Float[Tensor, "prompt token"], right: Right) -> Bool[Tensor, " prompt"]:
    """Whether every right answer is likelier than every other token."""
    least = logits.masked_fill(~right, torch.inf).amin(1)
    return least > logits.masked_fill(right, -torch.inf).amax(1)


def measure(
    model: NativeModel, causal: CausalModel, alignment: Alignment, n: int, seed: int
) -> Interchange:
    """Share of `n` random pairs of prompts on which model and causal model agree.

    Counted are pairs on which the causal model is sure: not every word is right. Where something
    outside the circuit is swapped the right answers are those to the prompt itself.
    """
    draw = torch.Generator().manual_seed(seed)
    base, source = causal.draw(n, draw), causal.draw(n, draw)[torch.randperm(n, generator=draw)]
    none = torch.full((n,), NO_VARIABLE)
    plain = causal.right(base, source, none)
    with torch.no_grad():
        theirs = run(model, source)[1]

        def share(units: Bool[Tensor, "layer unit"] | None, right: Right) -> float:
            swap = None if units is None else units.expand(n, -1, -1)
            met = agrees(run(model, base, swap, theirs)[0], right)
            sure = right.sum(1) < right.shape[1] - 1
            return float(met[sure].double().mean())

        variables = {
            name: share(units, causal.right(base, source, torch.full((n,), number)))
            for number, (name, units) in enumerate(
                zip(causal.variables, alignment.of_variable(), strict=True)
            )
        }
        outside = alignment.outside()
        return Interchange(
            behaviour=share(None, plain),
            variables=variables,
            single=min(share(units, plain) for units in outside),
            joint=share(outside.any(0), plain),
            n_prompts=n,
            seed=seed,
        )
