"""Weighted edges as they are defined, one prompt at a time, with hooks on the bridge."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from circuits.components import HEAD_INPUTS, MLP, Embedding, Head, Receiver
from circuits.forward.passes import at_end
from circuits.graph import ModelGraph
from circuits.metrics import Metric
from circuits.patching.reference import receiver_site
from circuits.tasks import PromptPairs
from tests.circuits.patching.slow_twin import run

Stream = Float[Tensor, "1 pos d_model"]


def weighted_metric_by_hand(
    bridge: TransformerBridge,
    pairs: PromptPairs,
    graph: ModelGraph,
    weights: Float[Tensor, "receiver sender"],
    metric: Metric,
) -> Float[Tensor, " prompt"]:
    """Each node runs by itself, on a stream that is put together for each of its receivers."""
    return torch.cat(
        [
            OnePrompt(bridge, pairs[row : row + 1], graph, weights).metric(metric)
            for row in range(len(pairs))
        ]
    )


class OnePrompt:
    """One pair of prompts, of which any weights can be run."""

    def __init__(self, bridge, pairs: PromptPairs, graph: ModelGraph, weights) -> None:
        self.bridge, self.pairs, self.graph, self.weights = bridge, pairs, graph, weights
        end = int(pairs.end) + 1
        self.clean, self.corrupted = pairs.clean[:, :end], pairs.corrupted[:, :end]
        self.z_names = [f"blocks.{layer}.attn.hook_z" for layer in range(graph.n_layers)]
        self.corrupted_attention, self.corrupted_streams = {}, {}
        self.outside = {**self.embedding(self.corrupted), **self.own_run()}
        self.inside = self.embedding(self.clean)

    def with_weights(self, weights: Float[Tensor, "receiver sender"]) -> OnePrompt:
        """The same before any run, with other weights."""
        self.weights, self.inside = weights, self.embedding(self.clean)
        return self

    def embedding(self, tokens: Tensor) -> dict:
        return {Embedding(): self.bridge(tokens, stop_at_layer=0)}

    def own_run(self) -> dict:
        """What heads (z) and MLPs (what they add) give on the corrupted prompt."""
        found, resid = {}, self.embedding(self.corrupted)[Embedding()]
        recorded = run(self.bridge, self.corrupted, self.z_names)
        for layer, name in enumerate(self.z_names):
            heads = {Head(layer, h): recorded[name][:, :, h] for h in range(self.graph.n_heads)}
            self.corrupted_attention[layer] = self.attention(layer, heads)
            attended = resid + self.corrupted_attention[layer]
            read = resid if self.graph.parallel_mlp else attended
            found |= {**heads, MLP(layer): self.mlp(layer, read)}
            resid = attended + found[MLP(layer)]
        return found

    def block(self, layer: int, resid: Stream, names: list[str], replace: dict) -> dict:
        """A run in which the stream in front of a layer is as given."""
        replace = {f"blocks.{layer}.hook_resid_pre": resid, **replace}
        return run(self.bridge, self.clean, names, replace, stop_at_layer=layer + 1)

    def attention(self, layer: int, heads: dict) -> Stream:
        """What some heads' z, all of a layer's, add to the stream, through any norm behind."""
        z = torch.stack([heads[Head(layer, h)] for h in range(self.graph.n_heads)], 2)
        return self._added(layer, {self.z_names[layer]: z}, "hook_mlp_out")

    def mlp(self, layer: int, resid: Stream) -> Stream:
        """What the MLP adds when it reads a stream and attention adds nothing."""
        if f"blocks.{layer}.hook_mlp_out" not in self.bridge.hook_dict:
            return torch.zeros_like(resid)
        return self._added(layer, {}, "hook_attn_out", resid)

    def _added(self, layer: int, replace: dict, silent: str, resid: Stream | None = None) -> Stream:
        # On a stream of zeros what is added would be lost to nothing.
        resid = (
            torch.zeros_like(self.embedding(self.clean)[Embedding()]) if resid is None else resid
        )
        site, name = f"blocks.{layer}.hook_resid_post", f"blocks.{layer}.{silent}"
        if name in self.bridge.hook_dict:
            replace = {**replace, name: torch.zeros_like(resid)}
        return self.block(layer, resid, [site], replace)[site] - resid

    def stream(self, receiver: Receiver) -> Stream:
        """At each span that of the edges there, where prompts have spans."""
        spans = self.graph.at_spans(receiver)
        streams = [self.stream_of(one) for one in spans]
        if self.pairs.span is None:
            return streams[0]
        total, span = torch.zeros_like(streams[0]), self.pairs.span[0, : streams[0].shape[1]]
        for one, stream in zip(spans, streams, strict=True):
            at = span == self.graph.span_of(one)
            total[:, at] = stream[:, at]
        # Before the first difference all streams are clean.
        total[:, span < 0] = streams[0][:, span < 0]
        return total

    def stream_of(self, receiver: Receiver) -> Stream:
        """Every sender gives w times its present, 1 - w times its corrupted output."""
        row, below = self.weights[self.graph.row(receiver)], self.graph.below(receiver).stop
        if row.any():
            return self.mixed(receiver, row)
        if below not in self.corrupted_streams:
            self.corrupted_streams[below] = self.mixed(receiver, row)
        return self.corrupted_streams[below]

    def mixed(self, receiver: Receiver, row: Float[Tensor, " sender"]) -> Stream:
        mixed = {}
        for sender in self.graph.senders_below(receiver):
            weight = row[self.graph.column(sender)]
            inside = self.inside.get(sender, self.outside[sender])
            mixed[sender] = weight * inside + (1 - weight) * self.outside[sender]
        total = mixed.pop(Embedding())
        for layer in sorted({sender.layer for sender in mixed}):
            heads = {s: v for s, v in mixed.items() if isinstance(s, Head) and s.layer == layer}
            is_corrupted = not any(row[self.graph.column(head)] for head in heads)
            attended = (
                self.corrupted_attention[layer] if is_corrupted else self.attention(layer, heads)
            )
            total = total + attended + mixed.get(MLP(layer), 0)
        return total

    def is_read(self, node: Head | MLP) -> bool:
        return bool(self.weights[:, self.graph.column(node)].any())

    def metric(self, metric: Metric) -> Float[Tensor, " prompt"]:
        return metric(self.logits(), self.pairs)

    def logits(self) -> Float[Tensor, "prompt vocab"]:
        """Where the answer is read."""
        for layer, name in enumerate(self.z_names):
            found = {}
            heads = (Head(layer, h) for h in range(self.graph.n_heads))
            for head in filter(self.is_read, heads):
                inputs = {}
                for part in HEAD_INPUTS:
                    receiver = Receiver(head, part)
                    site, unit = receiver_site(self.bridge, receiver)
                    own = self.block(layer, self.stream(receiver), [site], {})[site]
                    inputs.setdefault(site, torch.zeros_like(own))[:, :, unit] = own[:, :, unit]
                kept = run(self.bridge, self.clean, [name], inputs, stop_at_layer=layer + 1)
                found[head] = kept[name][:, :, head.index]
            self.inside |= found
            if self.is_read(MLP(layer)):
                self.inside[MLP(layer)] = self.mlp(layer, self.stream(Receiver.mlp(layer)))
        final = {
            f"blocks.{self.graph.n_layers - 1}.hook_resid_post": self.stream(Receiver.logits())
        }
        hooks = [(name, lambda value, hook, new=new: new) for name, new in final.items()]
        with torch.no_grad():
            logits = self.bridge.run_with_hooks(self.clean, fwd_hooks=hooks)
        return at_end(logits, self.pairs)
