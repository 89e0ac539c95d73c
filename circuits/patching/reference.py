"""Path patching the naive way: hooks on the bridge, two full forward passes per sender.

The slow twin of every other engine, short enough to be checked by eye against the definition
(Wang et al. 2022, arXiv 2211.00593, appendix B; Goldowsky-Dill et al. 2023, arXiv 2304.05969).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import Head, Node, Receiver
from circuits.errors import MismatchError
from circuits.forward import TransformerBridge
from circuits.forward.activations import Batch
from circuits.forward.extraction import head_columns, n_kv_heads_of
from circuits.forward.passes import at_end
from circuits.metrics import Metric
from circuits.patching.by_receiver import ByReceiver
from circuits.patching.estimators import ChangesInto
from circuits.tasks import PromptPairs

Hook = Callable[..., Tensor | None]


class _Reference(ByReceiver):
    """The definition itself."""

    name = "reference"
    description = "the definition, with hooks: two forward passes per sender and receiver"

    def open(self, batch: Batch, max_rows: int, kept_bytes: int) -> ChangesInto:
        """Run the bridge anew for every sender and receiver."""
        bridge, pairs, metric = batch.paired.model.bridge, batch.pairs, batch.paired.metric
        return lambda receiver, senders: metric_changes(bridge, pairs, receiver, senders, metric)


REFERENCE = _Reference()


def metric_changes(
    bridge: TransformerBridge,
    pairs: PromptPairs,
    receiver: Receiver,
    senders: tuple[Node, ...],
    metric: Metric,
) -> Float[Tensor, "sender prompt"]:
    """Metric minus clean metric for each sender, per prompt."""
    n_layers = bridge.cfg.n_layers
    z_names = [f"blocks.{layer}.attn.hook_z" for layer in range(n_layers)]
    input_name, unit = receiver_site(bridge, receiver)
    with torch.no_grad():
        clean_logits, clean = record(bridge, pairs.clean, [*z_names, input_name])
        _, corrupted = record(bridge, pairs.corrupted, z_names)
        clean_metric = metric(at_end(clean_logits, pairs), pairs)
        changes = []
        for sender in senders:
            if not isinstance(sender, Head):
                raise MismatchError(f"{sender} is no head: MLPs belong to the paths here")
            frozen = {name: clean[name].clone() for name in z_names}
            name = z_names[sender.layer]
            frozen[name][:, :, sender.index] = corrupted[name][:, :, sender.index]
            _, recorded = record(bridge, pairs.clean, [input_name], replace=frozen)
            patched = recorded[input_name]
            if unit is not None:
                patched = clean[input_name].clone()
                patched[:, :, unit] = recorded[input_name][:, :, unit]
            logits, _ = record(bridge, pairs.clean, [], replace={input_name: patched})
            changes.append(metric(at_end(logits, pairs), pairs) - clean_metric)
    return torch.stack(changes)


def receiver_site(bridge: TransformerBridge, receiver: Receiver) -> tuple[str, int | slice | None]:
    """Hook name of a receiver's input, and which part of it (None: all of it)."""
    if receiver.head is None:
        return f"blocks.{bridge.cfg.n_layers - 1}.hook_resid_post", None
    head, head_input = receiver.on_head()
    index = head.index
    if head_input != "q":
        index = index * n_kv_heads_of(bridge) // bridge.cfg.n_heads
    return head_columns(bridge, head.layer, head_input, index)


def record(
    bridge: TransformerBridge,
    tokens: Tensor,
    names: list[str],
    replace: dict[str, Tensor] | None = None,
) -> tuple[Float[Tensor, "prompt pos vocab"], dict[str, Tensor]]:
    recorded: dict[str, Tensor] = {}

    def keep(name: str) -> Hook:
        return lambda value, hook: recorded.__setitem__(name, value.clone())

    def put(value: Tensor) -> Hook:
        return lambda _, hook: value

    hooks: list[Any] = [(name, put(value)) for name, value in (replace or {}).items()]
    hooks += [(name, keep(name)) for name in names]
    return bridge.run_with_hooks(tokens, fwd_hooks=hooks), recorded
