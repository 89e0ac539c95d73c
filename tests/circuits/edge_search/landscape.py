"""A made-up model: faithfulness as a function of the weights of edges, with its slopes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from circuits.circuit import every_edge
from circuits.components import Receiver, parse_node
from circuits.edge_search import Slopes
from circuits.graph import ModelGraph

GRAPH = ModelGraph(n_layers=2, n_heads=2, n_kv_heads=2, mlps="nodes")


class Landscape:
    """Counts what it was asked."""

    def __init__(self, value: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.value, self.asked, self.looked = value, [], 0

    def __call__(self, weights: torch.Tensor, n_prompts: int, turn: int) -> Slopes:
        self.asked.append((int((weights > 0).sum()), n_prompts, turn))
        at = weights.clone().requires_grad_()
        value = self.value(at)
        (slopes,) = torch.autograd.grad(value, at)
        return Slopes(float(value.detach()), slopes)

    def faithfulness(self, weights: torch.Tensor, n_prompts: int, turn: int) -> float:
        self.looked += 1
        return float(self.value(weights))


def edge(receiver: str, sender: str) -> tuple[int, int]:
    return GRAPH.row(Receiver.parse(receiver)), GRAPH.column(parse_node(sender))


def edges(*names: tuple[str, str]) -> torch.Tensor:
    """A set of edges, by (receiver, sender)."""
    found = torch.zeros_like(every_edge(GRAPH))
    for name in names:
        found[edge(*name)] = True
    return found


CHAIN = edges(("0.0.v", "embed"), ("1.1.v", "0.0"), ("logits", "1.1"))
"""One way from the embedding to the logits."""
