"""What naive and exact path patching cost, from the measured cost of a few paths.

Running them in full takes hours and says nothing more: every sender of one layer costs the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from circuits.components import Head, Receiver
from circuits.forward import LayeredModel, PairedActivations
from circuits.forward.positions import ActivePositions
from circuits.graph import ModelGraph
from circuits.metrics import logit_diff
from circuits.patching.exact import SenderStates, metric_changes
from circuits.patching.senders import carried
from circuits.runtime.cost import FlopCounter
from circuits.tasks import PromptPairs


def counted(function: Callable[[], Any]) -> tuple[Any, int]:
    """A function's result and the FLOPs it executed."""
    with FlopCounter() as counter:
        result = function()
    return result, counter.flops


def forward_flops(model: LayeredModel, pairs: PromptPairs) -> int:
    """FLOPs of the model's own forward pass on the clean prompts, up to the last answer."""
    tokens = pairs.clean[:, : int(pairs.end.max()) + 1].to(model.device)
    with torch.no_grad():
        return counted(lambda: model.bridge(tokens))[1]


def distinct(graph: ModelGraph, receivers: Iterable[Receiver]) -> tuple[Receiver, ...]:
    """The receivers, each shared key or value input once."""
    return tuple(dict.fromkeys(map(graph.unit, receivers)))


def naive_passes(graph: ModelGraph, receivers: Iterable[Receiver]) -> int:
    """Forward passes of naive path patching: two for every sender of every receiver."""
    return sum(2 * len(graph.senders_below(receiver)) for receiver in receivers)


def exact_flops(model: LayeredModel, pairs: PromptPairs, receivers: Iterable[Receiver]) -> int:
    """FLOPs of exact path patching, all senders of these receivers.

    Each sender is carried once to the highest receiver, and each path run from its receiver up.
    """
    graph = model.graph()
    run, setup = counted(lambda: PairedActivations.of(model, pairs, logit_diff))
    steps, marginal = _carrying(run), {}
    total, top = setup, 0
    for receiver in filter(graph.senders_below, receivers):
        layer = model.n_layers if receiver.head is None else receiver.head.layer
        if (layer, receiver.input) not in marginal:
            marginal[layer, receiver.input] = _one_path(run, receiver)
        total += marginal[layer, receiver.input] * len(graph.senders_below(receiver))
        top = max(top, layer if receiver.head is not None else 0)
    return total + sum(model.n_heads * sum(steps[layer:top]) for layer in range(top))


def _carrying(run: PairedActivations) -> list[int]:
    """FLOPs of taking one sender through each layer."""
    tokens = ActivePositions.between_difference_and_end(run.pairs)
    steps, before = [], 0
    with torch.no_grad(), FlopCounter() as counter:
        for _ in carried(run, run.model.n_layers - 1, tokens, (Head(0, 0),), 1 << 30):
            steps.append(counter.flops - before)
            before += steps[-1]
    return steps


def _one_path(run: PairedActivations, receiver: Receiver) -> int:
    """FLOPs of one more sender; of the direct paths to the logits their whole cost, on average."""
    if receiver.head is None:
        senders = tuple(Head(layer, 0) for layer in range(run.model.n_layers))
        states = SenderStates(run, 1 << 30, 0)
        return counted(lambda: metric_changes(states, receiver, senders))[1] // len(senders)
    states, senders = SenderStates(run, 1 << 30, 1 << 40), (Head(0, 0), Head(0, 1))
    states.at(receiver.head.layer, senders)
    costs = [counted(lambda n=n: metric_changes(states, receiver, senders[:n]))[1] for n in (1, 2)]
    return costs[1] - costs[0]
