"""The definition of a swept effect, the slow way: differentiate the reference's second pass."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from circuits.components import Head, Receiver
from circuits.forward.passes import at_end
from circuits.metrics import Metric
from circuits.patching.reference import receiver_site
from circuits.tasks import PromptPairs


def first_order_changes(
    bridge: TransformerBridge,
    pairs: PromptPairs,
    receiver: Receiver,
    senders: tuple[Head, ...],
    metric: Metric,
) -> Float[Tensor, "sender prompt"]:
    """For each sender the first-order change of the metric, per prompt.

    First pass as in the reference. Second pass: how the receiver heads' output z changes with the
    receiver's input, exactly; times the gradient of the metric with respect to z on the clean run.
    """
    names = [f"blocks.{layer}.attn.hook_z" for layer in range(bridge.cfg.n_layers)]
    head = receiver.head
    input_name, unit = receiver_site(bridge, receiver)
    clean, corrupted = (
        run(bridge, pairs.clean, [*names, input_name]),
        run(bridge, pairs.corrupted, names),
    )
    gradient, clean_z = metric_gradient(bridge, pairs, names[head.layer], metric)
    changes, stop = [], head.layer + 1
    for sender in senders:
        frozen = {name: clean[name].clone() for name in names}
        frozen[names[sender.layer]][:, :, sender.index] = corrupted[names[sender.layer]][
            :, :, sender.index
        ]
        sent = run(bridge, pairs.clean, [input_name], frozen, stop)[input_name]
        patched = clean[input_name].clone()
        patched[:, :, unit] = sent[:, :, unit]
        given = {input_name: patched}
        z = run(bridge, pairs.clean, [names[head.layer]], given, stop)[names[head.layer]]
        changes.append(((z - clean_z) * gradient).sum((1, 2, 3)))
    return torch.stack(changes)


def metric_gradient(bridge, pairs, name, metric):
    kept = {}

    def keep(value, hook):
        kept["z"] = value.detach().clone().requires_grad_()
        return kept["z"]

    with torch.enable_grad():
        logits = bridge.run_with_hooks(pairs.clean, fwd_hooks=[(name, keep)])
        metric(at_end(logits, pairs), pairs).sum().backward()
    return kept["z"].grad, kept["z"].detach()


def run(bridge, tokens, names, replace=None, stop_at_layer=None):
    kept = {}
    hooks = [(name, lambda value, hook, new=new: new) for name, new in (replace or {}).items()]
    hooks += [
        (name, lambda value, hook, name=name: kept.__setitem__(name, value.clone()))
        for name in names
    ]
    with torch.no_grad():
        bridge.run_with_hooks(tokens, fwd_hooks=hooks, stop_at_layer=stop_at_layer)
    return kept
