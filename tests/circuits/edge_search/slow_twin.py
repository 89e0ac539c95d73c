"""ACDC as it is published, one edge after another, each in runs of its own by hooks."""

from __future__ import annotations

import torch
from torch import Tensor

from circuits.components import Receiver, parse_node
from circuits.forward.passes import at_end
from circuits.graph import ModelGraph
from circuits.tasks import PromptPairs
from tests.circuits.masking.slow_twin import OnePrompt


@torch.no_grad()
def acdc_by_hand(
    bridge, pairs: PromptPairs, graph: ModelGraph, start: Tensor, threshold: float
) -> Tensor:
    """The edges that are left, by receiver and sender."""
    prompts = [
        OnePrompt(bridge, pairs[row : row + 1], graph, start.float()) for row in range(len(pairs))
    ]
    whole = [_log_probabilities(at_end(bridge(prompt.clean), prompt.pairs)) for prompt in prompts]

    def divergence(edges: Tensor) -> float:
        found = []
        for prompt, reference in zip(prompts, whole, strict=True):
            logits = prompt.with_weights(edges.float()).logits()
            found.append(float((reference.exp() * (reference - _log_probabilities(logits))).sum()))
        return sum(found) / len(found)

    left, now = start.clone(), divergence(start)
    for receiver in reversed(graph.receivers):
        for sender in reversed(graph.senders_below(receiver)):
            place = graph.row(receiver), graph.column(sender)
            if not left[place]:
                continue
            fewer = left.clone()
            fewer[place] = False
            then = divergence(fewer)
            if then - now < threshold:
                left, now = fewer, then
    return left


def edges_named(graph: ModelGraph, names: list[tuple[str, str]]) -> Tensor:
    """A set of edges, by (sender, receiver)."""
    edges = torch.zeros(len(graph.receivers), len(graph.senders), dtype=torch.bool)
    for sender, receiver in names:
        edges[graph.row(Receiver.parse(receiver)), graph.column(parse_node(sender))] = True
    return edges


def _log_probabilities(logits: Tensor) -> Tensor:
    return logits.double().log_softmax(-1)
