"""Ablation of edges, and of heads in part, as they are defined: hooks on the bridge."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from circuits.ablation import HeadOutputs
from circuits.components import HEAD_INPUTS, Edge, Head, Receiver
from circuits.forward.passes import at_end
from circuits.metrics import Metric
from circuits.patching.reference import receiver_site
from circuits.tasks import PromptPairs
from tests.circuits.patching.slow_twin import run


def edge_metric_by_hand(
    bridge: TransformerBridge, pairs: PromptPairs, edges: Collection[Edge], metric: Metric
) -> Float[Tensor, " prompt"]:
    """For each receiver a run of its own, in which every head gives what this receiver reads.

    That is the sender's output inside the circuit along an edge, else the corrupted one. MLPs and
    norms run as the bridge runs them.
    """
    values, sites = [], {edge: receiver_site(bridge, edge.receiver) for edge in edges}
    for row in range(len(pairs)):
        one = pairs[row : row + 1]
        clean, corrupted = (t[:, : int(one.end) + 1] for t in (one.clean, one.corrupted))
        names = [f"blocks.{layer}.attn.hook_z" for layer in range(bridge.cfg.n_layers)]
        outside, inside = run(bridge, corrupted, names), {}

        def read_by(receiver: Receiver, outside=outside, inside=inside, names=names):
            z = {name: outside[name].clone() for name in names}
            site = receiver_site(bridge, receiver)
            for edge in edges:
                if sites[edge] == site:
                    z[names[edge.sender.layer]][:, :, edge.sender.index] = inside[edge.sender]
            return z

        for head in sorted({edge.sender for edge in edges}):
            inputs, stop = {}, head.layer + 1
            for name in HEAD_INPUTS:
                receiver = Receiver(head, name)
                site, _ = receiver_site(bridge, receiver)
                inputs[site] = run(bridge, clean, [site], read_by(receiver), stop)[site]
            z = run(bridge, clean, [names[head.layer]], inputs, stop)[names[head.layer]]
            inside[head] = z[:, :, head.index]
        hooks = [
            (name, lambda value, hook, z=z: z) for name, z in read_by(Receiver.logits()).items()
        ]
        with torch.no_grad():
            logits = bridge.run_with_hooks(clean, fwd_hooks=hooks)
        values.append(metric(at_end(logits, one), one))
    return torch.cat(values)


def all_edges(heads: Collection[Head]) -> frozenset[Edge]:
    """Every path among some heads and from them to the logits."""
    edges = {Edge(head, Receiver.logits(), -1.0) for head in heads}
    for sender in heads:
        for head in heads:
            if head.layer > sender.layer:
                edges |= {Edge(sender, Receiver(head, name), -1.0) for name in HEAD_INPUTS}
    return frozenset(edges)


def weighted_by_hand(
    bridge: TransformerBridge,
    pairs: PromptPairs,
    replaced: HeadOutputs,
    kept: Bool[Tensor, "layer head"],
    weight: float,
    metric: Metric,
) -> tuple[Float[Tensor, " prompt"], Float[Tensor, "prompt layer head"]]:
    """Metric and gradients of one prompt at a time, without its padding, by autograd on the bridge.

    A head outside the circuit has the weight 0.
    """
    metrics, gradients = [], []
    of_layer = replaced.on(pairs).of_layer
    instead = [of_layer(layer).z for layer in range(len(kept))]
    for row in range(len(pairs)):
        one = pairs[row : row + 1]
        length = int(one.end) + 1
        weights = (kept * weight).requires_grad_()

        def put(z, hook, layer, row=row, length=length, weights=weights):
            given = instead[layer][row : row + 1, :length]
            return given + weights[layer][:, None] * (z - given)

        names = [f"blocks.{layer}.attn.hook_z" for layer in range(len(kept))]
        hooks = [(name, partial(put, layer=layer)) for layer, name in enumerate(names)]
        logits = bridge.run_with_hooks(one.clean[:, :length], fwd_hooks=hooks)
        (found,) = metric(logits[:, -1], one)
        metrics.append(found.detach())
        gradients.append(torch.autograd.grad(found, weights)[0] * kept)
    return torch.stack(metrics), torch.stack(gradients)
