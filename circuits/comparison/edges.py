"""All paths that a model has, and how strong each is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Bool, Float

from circuits.components import HEAD_INPUTS, Connection, Head, Node, Receiver
from circuits.patching import EdgeValues


def count_connections(heads: Iterable[Head]) -> int:
    """How many paths there are between heads, and from them to the logits.

    Each head sends to the logits and to q, k and v of every head in a higher layer. Heads that
    share their keys and values count as receivers of their own, as in a circuit.

    >>> count_connections(graph.heads), graph.n_edges  # a shared key or value counts once there
    (156, 108)
    """
    layers = Counter(head.layer for head in heads)
    below, paths = 0, 0
    for _, size in sorted(layers.items()):
        paths += size * (len(HEAD_INPUTS) * below + 1)
        below += size
    return paths


def head_strengths(effects: EdgeValues) -> Float[torch.Tensor, "layer head"]:
    """The largest |effect| that each head has as a sender; 0 where none was measured.

    >>> strengths = head_strengths(effects)
    >>> strengths.shape, str(graph.heads[strengths.argmax()])
    (torch.Size([3, 4]), '1.2')
    """
    return effects.by_head(effects.values.abs().nan_to_num(0.0).amax(0))


def effect_strengths(
    effects: EdgeValues, reference: frozenset[Connection]
) -> tuple[Float[np.ndarray, " path"], Bool[np.ndarray, " path"]]:
    """|Effect| of every path of a model, and whether it is in the reference.

    Heads that share a key or value count as receivers of their own, as in a circuit. A path that
    was not measured, because a search did not get there or pruning left it out, has strength 0.

    Raises:
        MismatchError: The model lacks a head of the reference.

    >>> strengths, is_in = effect_strengths(effects, circuit.connections)
    >>> len(strengths), int(is_in.sum()) == len(circuit.edges)
    (156, True)
    """
    graph = effects.graph
    senders: defaultdict[Receiver, list[Node]] = defaultdict(list)
    for connection in reference:
        senders[connection.receiver].append(connection.sender)
    strengths, positive = [], []
    for receiver in (Receiver.logits(), *(r for head in graph.heads for r in graph.inputs(head))):
        row = effects.into(receiver).abs().nan_to_num(0.0)
        known = torch.zeros(len(row), dtype=torch.bool)
        known[[graph.column(sender) for sender in senders[receiver]]] = True
        strengths.append(row.cpu().double().numpy())
        positive.append(known.numpy())
    return np.concatenate(strengths), np.concatenate(positive)
