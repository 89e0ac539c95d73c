"""Norms of queries and keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from circuits.forward.projections import Projection, TensorMap

Span = Literal["each head alike", "each head", "all heads"]


@dataclass(frozen=True, eq=False)
class HeadNorm:
    """A norm of queries or keys.

    A norm over all heads mixes them: what one head's query is depends on what all of them read. Its
    input is then the residual stream alone, behind the norm as in front of it.

    Attributes:
        norm: The norm itself.
        span: Whether it has the same weights for each head, weights of its own for each, or is one
            norm of all heads together.

    """

    norm: TensorMap
    span: Span

    def __call__(
        self,
        projection: Projection,
        x: Float[Tensor, "*batch d_model"],
        heads: list[int] | None = None,
    ) -> Float[Tensor, "*batch chosen d_head"]:
        """The normalised projections of the given heads (all without `heads`)."""
        if self.span == "each head alike":
            return self.norm(projection(x, heads))
        every = projection(x)
        if self.span == "all heads":
            flat = self.norm(rearrange(every, "... head d_head -> ... (head d_head)"))
            every = flat.reshape(every.shape)
        else:
            every = self.norm(every)
        return every if heads is None else every[..., heads, :]


def head_norm(attention: Any, name: str, projection: Projection) -> HeadNorm | None:
    """A norm of an attention module of a bridge; None where there is none."""
    module = attention._modules.get(name)
    if not isinstance(module, nn.Module):
        return None
    norm: Any = module.original_component
    weight = getattr(norm, "weight", None)
    n_heads, d_head, _ = projection.weight.shape
    span: Span = "each head alike"
    if isinstance(weight, Tensor) and weight.numel() == n_heads * d_head and n_heads > 1:
        span = "each head" if weight.ndim > 1 else "all heads"
    return HeadNorm(norm, span)
