"""First-order scores of edges as they are defined, with hooks and autograd on the bridge.

Gradients are taken at each receiver's own input: through one head's query, key or value alone, then
back through its projection and norm to the stream that it reads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from circuits.components import MLP, Embedding, Head, Node, Receiver
from circuits.forward.passes import at_end
from circuits.graph import ModelGraph
from circuits.metrics import Metric
from circuits.patching.reference import receiver_site
from circuits.tasks import PromptPairs

Stream = Float[Tensor, "prompt pos d_model"]
Hooks = dict[str, Callable[[Tensor], Tensor]]


class ByHand:
    """All prompts at once: behind a prompt's answer gradients are zero."""

    def __init__(
        self,
        bridge: TransformerBridge,
        pairs: PromptPairs,
        graph: ModelGraph,
        metric: Metric,
        rules: Hooks | None = None,
    ) -> None:
        """`rules` are hooks of every run that change no value, but gradients."""
        self.rules = rules or {}
        self.bridge, self.pairs, self.graph, self.metric = bridge, pairs, graph, metric
        self.layers = range(graph.n_layers)
        self.known: dict[Head, Stream] = {}
        self.clean, self.corrupted = self.outputs(pairs.clean), self.outputs(pairs.corrupted)

    def run(self, hooks: Hooks, tokens: Tensor | None = None, stop: int | None = None) -> Tensor:
        both = _then(self.rules, hooks)
        given = [(name, lambda value, hook, new=new: new(value)) for name, new in both.items()]
        with torch.enable_grad():
            tokens = self.pairs.clean if tokens is None else tokens
            return self.bridge.run_with_hooks(tokens, fwd_hooks=given, stop_at_layer=stop)

    def outputs(self, tokens: Tensor) -> dict:
        """The embedding, z of heads, and what MLPs add."""
        names = [f"blocks.{layer}.{site}" for layer in self.layers for site in ("attn.hook_z",)]
        kept: dict[str, Tensor] = {}
        streams = [f"blocks.{layer}.hook_resid_pre" for layer in self.layers]
        keep = {name: _keep(kept, name) for name in [*names, *streams]}
        self.run(keep, tokens)
        found = {Embedding(): kept[streams[0]]}
        for layer in self.layers:
            z, resid = kept[names[layer]], kept[streams[layer]]
            found |= {Head(layer, h): z[:, :, h] for h in range(self.graph.n_heads)}
            read = resid if self.graph.parallel_mlp else resid + self.attention(layer, z)
            found[MLP(layer)] = self.mlp(layer, read).detach()
        return found

    def block(self, layer: int, resid: Stream, silent: str, hooks: Hooks) -> Stream:
        """What a block adds to a stream without its attention or without its MLP."""
        name, kept = f"blocks.{layer}.{silent}", {}
        post = f"blocks.{layer}.hook_resid_post"
        hooks = {
            f"blocks.{layer}.hook_resid_pre": lambda _: resid,
            post: _keep(kept, post),
            **hooks,
        }
        if name in self.bridge.hook_dict:
            hooks[name] = torch.zeros_like
        self.run(hooks, stop=layer + 1)
        return kept[post] - resid

    def attention(self, layer: int, z: Tensor) -> Stream:
        # On a stream of zeros what is added would be lost to nothing.
        resid = torch.zeros_like(self.pairs.clean[..., None] + self.bridge.W_E[0])
        return self.block(
            layer, resid, "hook_mlp_out", {f"blocks.{layer}.attn.hook_z": lambda _: z}
        )

    def mlp(self, layer: int, resid: Stream) -> Stream:
        if f"blocks.{layer}.hook_mlp_out" not in self.bridge.hook_dict:
            return 0 * resid
        return self.block(layer, resid, "hook_attn_out", {})

    def scores(self, base: Hooks) -> Float[Tensor, "receiver sender prompt"]:
        """(clean - corrupted) times the gradient at the receiver, in the run that hooks make."""
        self.look(base)
        shape = len(self.graph.receivers), len(self.graph.senders), len(self.pairs)
        found = torch.zeros(shape, dtype=self.now["blocks.0.hook_resid_pre"].dtype)
        for receiver in self.graph.receivers:
            slope = self.slope(receiver, base)
            for sender in self.graph.senders_below(receiver):
                along = self.change(sender, slope).sum(2) * self.at(receiver)
                found[self.graph.row(receiver), self.graph.column(sender)] = along.sum(1)
        return found

    def look(self, base: Hooks) -> None:
        """Keep what the run gives that hooks make: slopes are taken in it."""
        self.now: dict[str, Tensor] = {}
        sites = ("hook_resid_pre", "attn.hook_z", "hook_resid_post")
        names = [f"blocks.{layer}.{site}" for layer in self.layers for site in sites]
        self.run(_then(base, {name: _keep(self.now, name) for name in names}))

    def change(self, sender, slope: Stream) -> Tensor:
        """A sender's change along a slope; of heads taken back through what lies behind their z."""
        change = self.clean[sender] - self.corrupted[sender]
        if not isinstance(sender, Head):
            return slope * change
        if (back := self.back.get(sender.layer)) is None:
            z = self.now[f"blocks.{sender.layer}.attn.hook_z"].requires_grad_()
            (back,) = torch.autograd.grad(self.attention(sender.layer, z), z, slope)
            self.back[sender.layer] = back
        return back[:, :, sender.index] * change

    def slope(self, receiver: Receiver, base: Hooks) -> Stream:
        """The gradient of the metric at the stream that a receiver reads."""
        self.back: dict[int, Tensor] = {}
        last = f"blocks.{self.graph.n_layers - 1}.hook_resid_post"
        if receiver.is_logits:
            return self.gradient(last, base)
        layer = receiver.node.layer
        if receiver.head is None:
            given = self.gradient(f"blocks.{layer}.hook_resid_post", base)
            if f"blocks.{layer}.hook_mlp_out" in base:
                return torch.zeros_like(given)
            resid = self.now[f"blocks.{layer}.hook_resid_pre"]
            if not self.graph.parallel_mlp:
                resid = resid + self.attention(layer, self.now[f"blocks.{layer}.attn.hook_z"])
            resid = resid.detach().requires_grad_()
            added = self.mlp(layer, resid)
            return torch.autograd.grad(added, resid, given)[0]
        return self.head_slope(receiver, base)

    def head_slope(self, receiver: Receiver, base: Hooks) -> Stream:
        head, pre = receiver.head, f"blocks.{receiver.head.layer}.hook_resid_pre"
        site, unit = receiver_site(self.bridge, receiver)
        others = torch.arange(self.graph.n_heads) != head.index

        def alone(z: Tensor) -> Tensor:
            return torch.where(others[:, None], z.detach(), z)

        z_name = f"blocks.{head.layer}.attn.hook_z"
        given = self.gradient(site, _then(base, {z_name: alone}))
        kept: dict[str, Tensor] = {}
        resid = self.now[pre].detach().requires_grad_()
        self.run({pre: lambda _: resid, site: _keep(kept, site)}, stop=head.layer + 1)
        return torch.autograd.grad(kept[site][:, :, unit], resid, given[:, :, unit])[0]

    def lost(self, receiver: Receiver, sender: Node) -> Tensor:
        """What a receiver gives less (of a head z) where one of its senders gives less, alone."""
        change = self.written(sender) * self.at(receiver)[..., None]
        if receiver.is_logits:
            last = f"blocks.{self.graph.n_layers - 1}.hook_resid_post"
            logits = [self.run(hooks) for hooks in ({}, {last: lambda value: value - change})]
            whole, without = (self.metric(at_end(one, self.pairs), self.pairs) for one in logits)
            return whole - without
        layer = receiver.node.layer
        pre, z_name = (f"blocks.{layer}.{site}" for site in ("hook_resid_pre", "attn.hook_z"))
        resid, z = self.clean_run[pre], self.clean_run[z_name]
        if receiver.head is None:
            read = resid if self.graph.parallel_mlp else resid + self.attention(layer, z)
            return self.mlp(layer, read) - self.mlp(layer, read - change)
        site, unit = receiver_site(self.bridge, receiver)
        kept: dict[str, Tensor] = {}
        self.run({pre: lambda _: resid - change, site: _keep(kept, site)}, stop=layer + 1)

        def put(value: Tensor) -> Tensor:
            value = value.clone()
            value[:, :, unit] = kept[site][:, :, unit]
            return value

        self.run({site: put, z_name: _keep(kept, z_name)}, stop=layer + 1)
        return (z - kept[z_name])[:, :, receiver.head.index]

    def at(self, receiver: Receiver) -> Tensor:
        """The positions that a receiver reads at."""
        if self.pairs.span is None:
            return torch.ones_like(self.pairs.clean, dtype=torch.bool)
        return self.pairs.span == self.graph.span_of(receiver)

    def written(self, sender: Node) -> Stream:
        """How much less reaches the streams above where a sender gives its corrupted output."""
        if not isinstance(sender, Head):
            return self.clean[sender] - self.corrupted[sender]
        if sender not in self.known:
            whole = self.clean_run[f"blocks.{sender.layer}.attn.hook_z"]
            without = whole.clone()
            without[:, :, sender.index] = self.corrupted[sender]
            given, less = (self.attention(sender.layer, z) for z in (whole, without))
            self.known[sender] = given - less
        return self.known[sender]

    @cached_property
    def clean_run(self) -> dict[str, Tensor]:
        self.look({})
        return self.now

    def along(self, sender: Node, slope: Stream) -> Tensor:
        """A sender's change times a slope at a stream that it writes to."""
        self.back = {}
        return self.change(sender, slope).sum((1, 2))

    def behind(self, receiver: Receiver, base: Hooks) -> Tensor:
        """The gradient of the metric at what a receiver gives (of a head z)."""
        layer = receiver.node.layer
        if receiver.head is None:
            return self.gradient(f"blocks.{layer}.hook_resid_post", base)
        return self.gradient(f"blocks.{layer}.attn.hook_z", base)[:, :, receiver.head.index]

    def dropped(self, layer: int) -> Hooks:
        """No gradient passes a layer's heads and its MLP."""
        names = (f"blocks.{layer}.{site}" for site in ("attn.hook_z", "hook_mlp_out"))
        return {name: torch.Tensor.detach for name in names if name in self.bridge.hook_dict}

    def gradient(self, name: str, base: Hooks) -> Tensor:
        """Of each prompt's metric by what passes a site, everything above it as it is."""
        leaf: list[Tensor] = []

        def cut(value: Tensor) -> Tensor:
            leaf.append(value.detach().clone().requires_grad_())
            return leaf[0]

        logits = self.run(_then({name: cut}, base))
        total = self.metric(at_end(logits, self.pairs), self.pairs).sum()
        # What is put in behind the site may leave no way to the answer.
        found = total.requires_grad and torch.autograd.grad(total, leaf[0], allow_unused=True)[0]
        return found if isinstance(found, Tensor) else torch.zeros_like(leaf[0])

    def embedded(self, share: float) -> Hooks:
        """A run whose embedding is on its way from the corrupted prompt to the clean one."""
        ends = self.corrupted[Embedding()], self.clean[Embedding()]
        return {"blocks.0.hook_resid_pre": lambda _: torch.lerp(*ends, share)}

    def heads_at(self, layer: int, share: float) -> Hooks:
        """The clean run with all heads of a layer on that way, and no gradient through them."""
        heads = [Head(layer, h) for h in range(self.graph.n_heads)]
        ends = [torch.stack([of[h] for h in heads], 2) for of in (self.corrupted, self.clean)]
        return {f"blocks.{layer}.attn.hook_z": lambda _: torch.lerp(*ends, share)}

    def mlp_at(self, layer: int, share: float) -> Hooks:
        """The same with an MLP."""
        change = (share - 1) * (self.clean[MLP(layer)] - self.corrupted[MLP(layer)])
        return {
            f"blocks.{layer}.hook_mlp_out": torch.Tensor.detach,
            f"blocks.{layer}.hook_resid_post": lambda value: value + change,
        }


def _keep(kept: dict[str, Tensor], name: str) -> Callable[[Tensor], Tensor]:
    def hook(value: Tensor) -> Tensor:
        kept[name] = value.clone() if value.requires_grad else value.detach().clone()
        return kept[name]

    return hook


def _then(first: Hooks, second: Hooks) -> Hooks:
    """Both, one after the other where they are at one site."""
    both = {**first, **second}
    for name in first.keys() & second.keys():
        both[name] = lambda value, name=name: second[name](first[name](value))
    return both
