"""All paths that a model has, and how strong each is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Bool, Float

from circuits.components import HEAD_INPUTS, Connection, Head, Receiver
from circuits.patching import EffectTable


def count_connections(heads: Iterable[Head]) -> int:
    """How many paths there are between heads, and from them to the logits.

    Each head sends to the logits and to q, k and v of every head in a higher layer. Heads that
    share their keys and values count as receivers of their own, as in a circuit.
    """
    layers = Counter(head.layer for head in heads)
    below, paths = 0, 0
    for _, size in sorted(layers.items()):
        paths += size * (len(HEAD_INPUTS) * below + 1)
        below += size
    return paths


def head_strengths(effects: EffectTable) -> Float[torch.Tensor, "layer head"]:
    """The largest |effect| that each head has as a sender; 0 where none was measured."""
    tables = (effects.query, effects.key, effects.value, effects.logits[None, None])
    strongest = (table.abs().nan_to_num(0.0).amax((0, 1)) for table in tables)
    return torch.stack(list(strongest)).amax(0)


def effect_strengths(
    effects: EffectTable, reference: frozenset[Connection]
) -> tuple[Float[np.ndarray, " path"], Bool[np.ndarray, " path"]]:
    """|Effect| of every path of a model, and whether it is in the reference.

    A path that was not measured, because a search did not get there or pruning left it out, has
    strength 0.
    """
    n_layers, n_heads = effects.logits.shape
    senders: defaultdict[Receiver, list[Head]] = defaultdict(list)
    for connection in reference:
        senders[connection.receiver].append(connection.sender)
    strengths, positive = [], []
    for receiver in _receivers(n_layers, n_heads):
        below = n_layers if receiver.head is None else receiver.head.layer
        row = effects.effects(receiver)[:below].abs().nan_to_num(0.0)
        known = torch.zeros(below, n_heads, dtype=torch.bool)
        for sender in senders[receiver]:
            known[sender.layer, sender.index] = True
        strengths.append(row.flatten().double().cpu().numpy())
        positive.append(known.flatten().numpy())
    return np.concatenate(strengths), np.concatenate(positive)


def _receivers(n_layers: int, n_heads: int) -> Iterable[Receiver]:
    yield Receiver.logits()
    for layer in range(1, n_layers):
        for index in range(n_heads):
            yield from (Receiver(Head(layer, index), name) for name in HEAD_INPUTS)
