"""One block of a TransformerBridge taken apart: the same computation in pieces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from einops import einsum, rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from circuits.forward.head_norms import HeadNorm
from circuits.forward.mlps import BlockMlp
from circuits.forward.projections import Projection, ProjectionOut, TensorMap
from circuits.forward.tables import RotaryTable


@dataclass(frozen=True, eq=False)
class Layer:
    """One transformer block in pieces. Leading dimensions of every tensor are free.

    Attributes:
        query: From the residual stream to the queries of all heads.
        key: To the keys of all key/value heads.
        value: To their values.
        output: From head outputs back to the residual stream.
        norm_attention: The norm that attention reads the residual stream through; what gives it
            back as it is, in families that have norms behind attention alone.
        norm_query: Of queries, in families that have one.
        norm_key: Of keys, likewise.
        norm_attention_output: Behind the output projection, likewise.
        norm_mlp: The norm that the MLP reads the residual stream through; None without an MLP.
        mlp: The MLP, if there is one.
        norm_mlp_output: Behind the MLP, in families that have one.
        rotary: Gives the table of rotary position embeddings; None without.
        biases: Gives what is added to scores for a key's position (ALiBi); None without.
        sinks: A score of each head that takes a share of its attention and gives nothing, in
            families that have it.
        scale: What attention scores are multiplied by.
        query_multiplier: From positions to what queries are multiplied by there beside that, in
            families that have it.
        soft_cap: Bounds attention scores, in families that have it.
        window: How many positions a query sees, itself included; None: all below it.
        parallel: Whether the MLP reads what the heads read, and not what they write.

    >>> layer = layered.layers[0]
    >>> layer.n_heads, layer.n_kv_heads, layer.kv_head(3)
    (4, 2, 1)
    """

    query: Projection
    key: Projection
    value: Projection
    output: ProjectionOut
    norm_attention: TensorMap
    norm_query: HeadNorm | None
    norm_key: HeadNorm | None
    norm_attention_output: TensorMap | None
    norm_mlp: TensorMap | None
    mlp: BlockMlp | None
    norm_mlp_output: TensorMap | None
    rotary: Callable[[], RotaryTable | None]
    biases: Callable[[], Float[Tensor, "pos head"] | None] | None
    sinks: Float[Tensor, " head"] | None
    scale: float
    query_multiplier: TensorMap | None
    soft_cap: float | None
    window: int | None
    parallel: bool

    @property
    def device(self) -> torch.device:
        """Where its weights are, and what it computes."""
        return self.query.weight.device

    @property
    def n_heads(self) -> int:
        return self.query.weight.shape[0]

    @property
    def n_kv_heads(self) -> int:
        return self.key.weight.shape[0]

    def kv_head(self, head: int) -> int:
        """Index of the key/value head that query head `head` reads."""
        return head * self.n_kv_heads // self.n_heads

    def heads_of(self, kv_heads: list[int]) -> list[int]:
        """The query heads that read some key/value heads, group by group."""
        every = range(self.n_heads)
        return [head for kv_head in kv_heads for head in every if self.kv_head(head) == kv_head]

    def queries(
        self,
        normed: Float[Tensor, "*batch token d_model"],
        positions: Int[Tensor, " token"],
        heads: list[int] | None = None,
    ) -> Float[Tensor, "*batch token head d_query"]:
        """Queries, normalised and rotated, of the given heads (all without `heads`).

        Behind a head's own entries stands what its scores depend on beside them, where the family
        has such: 1 for the biases of keys, and the head's sink.
        """
        positions = positions.to(self.device)
        queries = self._position(self.query, self.norm_query, normed, positions, heads)
        if self.query_multiplier is not None:
            factor = self.query_multiplier(positions).to(queries.dtype)
            queries = queries * rearrange(factor, "token -> token 1 1")
        beside = queries.new_empty(*queries.shape[:-1], 0)
        if self.biases is not None:
            beside = torch.cat([beside, torch.ones_like(queries[..., :1])], dim=-1)
        if self.sinks is not None:
            sinks = self.sinks if heads is None else self.sinks[heads]
            sinks = rearrange(sinks, "head -> head 1").expand_as(queries[..., :1])
            beside = torch.cat([beside, sinks], dim=-1)
        return torch.cat([queries, beside], dim=-1) if beside.shape[-1] else queries

    def keys(
        self,
        normed: Float[Tensor, "*batch token d_model"],
        positions: Int[Tensor, " token"],
        kv_heads: list[int] | None = None,
    ) -> Float[Tensor, "*batch token kv_head d_query"]:
        """Keys, normalised and rotated, of the given key/value heads, as wide as queries."""
        positions = positions.to(self.device)
        keys = self._position(self.key, self.norm_key, normed, positions, kv_heads)
        biases = None if self.biases is None else self.biases()
        if biases is not None:
            chosen = biases[positions] if kv_heads is None else biases[positions][:, kv_heads]
            column = rearrange(chosen / self.scale, "token head -> token head 1")
            keys = torch.cat([keys, column.to(keys.dtype).expand_as(keys[..., :1])], dim=-1)
        if self.sinks is not None:
            keys = torch.cat([keys, torch.zeros_like(keys[..., :1])], dim=-1)
        return keys

    def values(
        self, normed: Float[Tensor, "*batch token d_model"], kv_heads: list[int] | None = None
    ) -> Float[Tensor, "*batch token kv_head d_head"]:
        return self.value(normed, kv_heads)

    def pattern(
        self,
        queries: Float[Tensor, "*#batch prompt slot head d_query"],
        keys: Float[Tensor, "*#batch prompt pos kv_head d_query"],
        allowed: Bool[Tensor, "prompt slot pos"],
    ) -> Float[Tensor, "*#batch prompt kv_head group slot pos"]:
        """Attention patterns, the query heads grouped by the key/value head they share.

        Rows sum to 1, and to less where a sink takes the rest.
        """
        grouped = rearrange(
            queries, "... (kv_head group) d -> ... kv_head group d", kv_head=keys.shape[-2]
        )
        scores = self.scale * einsum(
            grouped,
            keys,
            "... slot kv_head group d, ... pos kv_head d -> ... kv_head group slot pos",
        )
        if self.soft_cap is not None:
            scores = self.soft_cap * torch.tanh(scores / self.soft_cap)
        mask = rearrange(allowed.to(scores.device), "prompt slot pos -> prompt 1 1 slot pos")
        scores = scores.masked_fill(~mask, -torch.inf)
        if self.sinks is not None:
            sinks = rearrange(grouped[..., -1:], "... slot kv group 1 -> ... kv group slot 1")
            scores = torch.cat([scores, sinks.expand_as(scores[..., :1])], dim=-1)
        pattern = self.softmax(scores)
        return pattern if self.sinks is None else pattern[..., :-1]

    def softmax(self, scores: Float[Tensor, "*batch slot key"]) -> Float[Tensor, "*batch slot key"]:
        """Attention patterns of scores, sinks among these."""
        return scores.softmax(-1, dtype=torch.float32).to(scores.dtype)

    def attend(
        self,
        queries: Float[Tensor, "*#batch prompt slot head d_query"],
        keys: Float[Tensor, "*#batch prompt pos kv_head d_query"],
        values: Float[Tensor, "*#batch prompt pos kv_head d_head"],
        allowed: Bool[Tensor, "prompt slot pos"],
    ) -> Float[Tensor, "*#batch prompt slot head d_head"]:
        """Head outputs z: the values, weighted by the attention patterns."""
        pattern = self.pattern(queries, keys, allowed)
        z = einsum(
            pattern,
            values,
            "... kv_head group slot pos, ... pos kv_head d -> ... slot kv_head group d",
        )
        return rearrange(z, "... kv_head group d -> ... (kv_head group) d")

    def attention_output(
        self, z: Float[Tensor, "*batch token head d_head"]
    ) -> Float[Tensor, "*batch token d_model"]:
        """What attention adds to the residual stream."""
        return self.norm_output(self.output(z))

    def norm_output(
        self, projected: Float[Tensor, "*batch token d_model"]
    ) -> Float[Tensor, "*batch token d_model"]:
        """The norm that some families put behind the output projection."""
        norm = self.norm_attention_output
        return projected if norm is None else norm(projected)

    def finish(
        self,
        resid_pre: Float[Tensor, "*#batch token d_model"],
        attention_output: Float[Tensor, "*#batch token d_model"],
    ) -> Float[Tensor, "*#batch token d_model"]:
        """resid_post: add attention's output and the MLP's."""
        resid_pre = resid_pre.to(attention_output.device)
        resid_mid = resid_pre + attention_output
        added = self.mlp_output(resid_pre if self.parallel else resid_mid)
        return resid_mid if added is None else resid_mid + added

    def mlp_output(
        self, resid: Float[Tensor, "*batch token d_model"]
    ) -> Float[Tensor, "*batch token d_model"] | None:
        """What the MLP adds to the residual stream when it reads one; None without an MLP."""
        if self.mlp is None or self.norm_mlp is None:
            return None
        added = self.mlp(self.norm_mlp(resid))
        return added if self.norm_mlp_output is None else self.norm_mlp_output(added)

    def allowed(
        self, positions: Int[Tensor, "prompt slot"], length: int
    ) -> Bool[Tensor, "prompt slot pos"]:
        """Which key positions each query position sees (causal, within the window if any)."""
        key_positions = torch.arange(length, device=positions.device)
        distance = rearrange(positions, "prompt slot -> prompt slot 1") - key_positions
        visible = distance >= 0
        return visible if self.window is None else visible & (distance < self.window)

    def _position(
        self,
        projection: Projection,
        norm: HeadNorm | None,
        x: Float[Tensor, "*batch token d_model"],
        positions: Int[Tensor, " token"],
        heads: list[int] | None,
    ) -> Float[Tensor, "*batch token head d_head"]:
        normed = projection(x, heads) if norm is None else norm(projection, x, heads)
        table = self.rotary()
        return normed if table is None else table.rotate(normed, positions)
