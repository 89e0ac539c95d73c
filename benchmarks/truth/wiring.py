"""Attention heads written by hand: which subspace each matches, reads and writes.

The residual stream is cut into named subspaces, such as one for the token and one for the position.
A head is given what makes it attend (`Match`), what it copies, and where to (`Wire`). In the end
the residual stream and every head's inside are turned by random rotations, so that no coordinate of
the model means anything on its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

from circuits.components import Head
from circuits.model.native import NativeShape, native_module


@dataclass(frozen=True)
class Match:
    """One term of an attention score: `gain` where query and key agree.

    Attributes:
        gain: Added to the score, in units of the softmax.
        query: Subspace that the query is read from; None gives every query the term.
        key: Subspace that the key is read from: entry by entry the same as the query's. Without
            `query`, the sum of its entries.
        shift: The query's entry i agrees with the key's entry i - shift.

    """

    gain: float
    query: str | None
    key: str
    shift: int = 0


@dataclass(frozen=True)
class Wire:
    """A head: where it attends, the subspace that it copies, and the one that it copies to."""

    head: Head
    matches: tuple[Match, ...]
    value: str
    output: str


@dataclass(frozen=True)
class Plan:
    """A whole model before its rotations.

    Attributes:
        spaces: Size of each subspace of the residual stream, by name.
        tokens: What each token writes into a subspace: [token, entry].
        positions: The subspace that says where a token stands; as many entries as positions.
        wires: All heads.
        answers: The subspace that the logits are read from: entry i is token i's.
        confidence: Logit of a token whose entry is 1.

    Raises:
        ValueError: A wire names a subspace that there is not, or copies into one of another size.

    """

    spaces: Mapping[str, int]
    tokens: Mapping[str, Float[Tensor, "token entry"]]
    positions: str
    wires: tuple[Wire, ...]
    answers: str
    confidence: float

    def __post_init__(self) -> None:
        for wire in self.wires:
            named = {wire.value, wire.output, *(match.key for match in wire.matches)}
            if unknown := named - self.spaces.keys():
                raise ValueError(f"head {wire.head} names {unknown}, spaces are {set(self.spaces)}")
            if self.spaces[wire.value] > self.spaces[wire.output]:
                raise ValueError(f"head {wire.head} copies {wire.value} into a smaller subspace")

    def place(self, space: str) -> slice:
        """Where a subspace lies in the residual stream."""
        start = 0
        for name, size in self.spaces.items():
            if name == space:
                return slice(start, start + size)
            start += size
        raise ValueError(f"no subspace {space!r}; there are {', '.join(self.spaces)}")


def shape_of(plan: Plan) -> NativeShape:
    """Sizes of the model: heads wide enough for all terms of the score, and for what they copy."""
    widest = max(
        max(sum(_width(plan, match) for match in wire.matches), plan.spaces[wire.value])
        for wire in plan.wires
    )
    return NativeShape(
        n_layers=1 + max(wire.head.layer for wire in plan.wires),
        n_heads=1 + max(wire.head.index for wire in plan.wires),
        d_model=sum(plan.spaces.values()),
        d_head=widest,
        d_vocab=len(next(iter(plan.tokens.values()))),
        n_ctx=plan.spaces[plan.positions],
        normalization=None,
    )


def build(plan: Plan, seed: int) -> tuple[NativeShape, dict[str, Tensor]]:
    """Shape and weights of the model, turned by rotations that `seed` draws."""
    shape = shape_of(plan)
    draw = torch.Generator().manual_seed(seed)
    weights = {name: torch.zeros_like(t) for name, t in native_module(shape).state_dict().items()}
    for name, written in plan.tokens.items():
        weights["tok_embed.weight"][:, plan.place(name)] = written
    weights["pos.weight"][:, plan.place(plan.positions)] = torch.eye(shape.n_ctx)
    weights["head.weight"][:, plan.place(plan.answers)] = plan.confidence * torch.eye(shape.d_vocab)
    for wire in plan.wires:
        _write(weights, plan, wire, shape)
    return shape, _rotated(weights, shape, draw)


def _width(plan: Plan, match: Match) -> int:
    return 1 if match.query is None else plan.spaces[match.key]


def _write(weights: Mapping[str, Tensor], plan: Plan, wire: Wire, shape: NativeShape) -> None:
    """Put one head into the weights."""
    layer = f"layers.{wire.head.layer}.attn"
    first = wire.head.index * shape.d_head
    row = first
    for match in wire.matches:
        rows, key = slice(row, row + _width(plan, match)), plan.place(match.key)
        # The softmax divides scores by the root of the head's width.
        gain = match.gain * shape.d_head**0.5
        if match.query is None:
            weights[f"{layer}.q.bias"][rows] = gain
            weights[f"{layer}.k.weight"][rows, key] = 1.0
        else:
            size = plan.spaces[match.key]
            moved = torch.eye(size).roll(match.shift, 1)
            moved[max(size - match.shift, 0) :] = 0.0
            weights[f"{layer}.q.weight"][rows, plan.place(match.query)] = gain * moved
            weights[f"{layer}.k.weight"][rows, key] = torch.eye(size)
        row = rows.stop
    size, output = plan.spaces[wire.value], plan.place(wire.output)
    copied = slice(first, first + size)
    weights[f"{layer}.v.weight"][copied, plan.place(wire.value)] = torch.eye(size)
    to = slice(output.start, output.start + size)
    weights[f"{layer}.o.weight"][to, copied] = torch.eye(size)


def _rotated(
    weights: Mapping[str, Tensor], shape: NativeShape, draw: torch.Generator
) -> dict[str, Tensor]:
    """The same function in turned coordinates of the residual stream and of every head."""
    stream = _rotation(shape.d_model, draw)
    turned = {name: tensor.clone() for name, tensor in weights.items()}
    for name in ("tok_embed.weight", "pos.weight", "head.weight"):
        turned[name] = weights[name] @ stream
    for layer in range(shape.n_layers):
        name = f"layers.{layer}.attn"
        match = _rotations(shape, draw)
        copy = _rotations(shape, draw)
        for part, inside in (("q", match), ("k", match), ("v", copy)):
            weight, bias = weights[f"{name}.{part}.weight"], weights[f"{name}.{part}.bias"]
            turned[f"{name}.{part}.weight"] = _inside(inside, weight @ stream)
            turned[f"{name}.{part}.bias"] = _inside(inside, bias[:, None])[:, 0]
        back = _inside(copy, weights[f"{name}.o.weight"].T)
        turned[f"{name}.o.weight"] = (back @ stream).T.contiguous()
    return turned


def _rotation(size: int, draw: torch.Generator) -> Float[Tensor, "size size"]:
    return torch.linalg.qr(torch.randn(size, size, generator=draw, dtype=torch.float64))[0].float()


def _rotations(shape: NativeShape, draw: torch.Generator) -> Float[Tensor, "head d_head d_head"]:
    return torch.stack([_rotation(shape.d_head, draw) for _ in range(shape.n_heads)])


def _inside(
    rotations: Float[Tensor, "head inner d_head"], weight: Float[Tensor, "rows column"]
) -> Float[Tensor, "rows column"]:
    split = rearrange(weight, "(head d_head) column -> head d_head column", head=len(rotations))
    turned = einsum(rotations, split, "head inner d_head, head d_head column -> head inner column")
    return rearrange(turned, "head inner column -> (head inner) column")


def one_hot(size: int, chosen: Sequence[int]) -> Float[Tensor, "token entry"]:
    """For each of `size` tokens: its own entry where it is chosen, else nothing."""
    rows = torch.zeros(size, size)
    rows[list(chosen), list(chosen)] = 1.0
    return rows
